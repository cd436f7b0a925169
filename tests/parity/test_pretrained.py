"""Checkpoints of fresh random configurations, beside transformers in eager mode."""

import jax
import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not in this environment; `make parity` has it")
pytest.importorskip("transformers", reason="not in this environment; `make parity` has it")

from pretrained_cases import CASES, inputs, random_config
from pretrained_folder import write_folder
from pretrained_peers import random_model, run

from attn_jax import pretrained
from attn_jax.hooks import capture


def close(x, expected, tolerance):
    np.testing.assert_allclose(x, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("trial", range(3))
@pytest.mark.parametrize("name", CASES)
def test_a_random_checkpoint_computes_the_same(name, trial, tmp_path):
    rng = np.random.default_rng()
    seed = int(rng.integers(2**31))
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    peer = random_model(CASES[name][0], random_config(name, rng), seed)
    tensors = {key: x.numpy() for key, x in peer.state_dict().items()}
    model = pretrained.load(write_folder(tmp_path / name, peer.config.to_diff_dict(), tensors))
    tokens, exists = inputs(rng, batch=2, tokens=int(rng.integers(4, 12)))
    expected = run(peer, tokens, exists)
    out, captured = jax.jit(capture(model, "*.weights"))({"tokens": tokens, "key_mask": exists})
    close(out[exists], expected["output"][exists], 2e-5)
    for i, weights in enumerate(expected["attentions"]):
        rows = np.moveaxis(captured[f"layers.{i}.attention.weights"], 1, -2)[exists]
        close(rows, np.moveaxis(weights, 1, -2)[exists], 2e-6)
