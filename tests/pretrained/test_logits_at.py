"""Logits of chosen positions, against the same of the logits of all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pretrained_folder import golden_arrays, write_golden

from attn_jax import pretrained
from attn_jax.hooks import capture

CHOICES = {
    "the last": (jnp.array([-1]), lambda x: x[:, -1:]),
    "two of all texts": (jnp.array([5, 0]), lambda x: x[:, [5, 0]]),
    "the last of each text": (jnp.array([[6], [4]]), lambda x: np.stack([x[0, 6:], x[1, 4:5]])),
}


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_they_are_those_of_the_whole(family, tmp_path):
    model = pretrained.load(write_golden(family, tmp_path))
    inputs = golden_arrays(family, "input")
    run, whole = jax.jit(capture(model, "logits")), np.asarray(jax.jit(model)(inputs))
    for positions, expected in CHOICES.values():
        logits, captured = run({**inputs, "logits_at": positions})
        np.testing.assert_allclose(logits, expected(whole), rtol=0, atol=2e-6 * whole.max())
        np.testing.assert_array_equal(captured["logits"], logits)
