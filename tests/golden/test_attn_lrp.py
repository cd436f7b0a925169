"""Relevance by AttnLRP, against what its authors' LXT computed with the same weights."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pretrained_folder import write_golden

from attn_jax import measure, pretrained

GOLDEN = np.load(Path(__file__).parent / "attn_lrp.npz")


@pytest.mark.parametrize("case", ["gpt2", "llama", "qwen3", "llama-scanned"])
def test_relevance_of_tokens(case, tmp_path):
    name, _, scanned = case.partition("-")
    model = pretrained.load(write_golden(name, tmp_path), scan=bool(scanned))
    tokens, target = jnp.asarray(GOLDEN["tokens"]), jnp.asarray(GOLDEN["target"])

    def fn(tokens):
        return model({"tokens": tokens})[:, -1]

    np.testing.assert_allclose(jax.jit(fn)(tokens), GOLDEN[f"{name}/logits"], rtol=0, atol=2e-5)
    relevance = measure.attn_lrp(fn, tokens, target, at="embedding")["embedding"]
    np.testing.assert_allclose(relevance, GOLDEN[f"{name}/relevance"], rtol=0, atol=2e-6)
