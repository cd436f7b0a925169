"""The deletion curve, against the pixel flipping of quantus."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from faithfulness_cases import T, model

from attn_jax import measure

GOLDEN = np.load(Path(__file__).parent / "erasure.npz")


@pytest.mark.parametrize("kind", ["raw", "renormalized"])
def test_the_deletion_curve(kind):
    x, mixes, out, mask, target, values = (
        jnp.asarray(GOLDEN[f"array_{name}"])
        for name in ("x", "mixes", "out", "mask", "target", "values")
    )
    erasure = measure.erase(
        lambda x: model(x, mixes, out, mask),
        x,
        measure.rank_keys(values, mask, rng=jax.random.key(0)),
        target,
        mask=mask,
        fractions=tuple(i / T for i in range(T + 1)),
        renormalize=kind == "renormalized",
    )
    np.testing.assert_allclose(erasure.deleted[:, 1:], GOLDEN[kind], rtol=1e-5, atol=2e-6)
