"""A small model of two layers of self-attention over padded tokens, and what is asked of it."""

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax import hooks, measure

N, T, H, D, C = 5, 7, 2, 3, 11
LAYERS = 2
STEPS = 16


def draw(rng):
    """The arrays of a model and a batch; every example has a key, and some lack several."""
    lengths = rng.integers(1, T + 1, N)
    return {
        "x": rng.normal(size=(N, T, H, D)).astype(np.float32),
        "mixes": rng.normal(size=(LAYERS, H, D, D)).astype(np.float32),
        "out": 2 * rng.normal(size=(H, D, C)).astype(np.float32),
        "mask": np.arange(T) < lengths[:, None],
        "target": rng.integers(0, C, N),
    }


def model(x, mixes, out, mask):
    for layer, mix in enumerate(mixes):
        scores = jnp.einsum("nqhd,hde,nkhe->nhqk", x, mix, x)
        weights = jax.nn.softmax(jnp.where(mask[:, None, None], scores, -jnp.inf))
        x = x + jnp.einsum("nhqk,nkhd->nqhd", hooks.tap(f"layers.{layer}.weights", weights), x)
    pooled = jnp.where(mask[..., None, None], x, 0).sum(1) / mask.sum(-1)[:, None, None]
    return jnp.einsum("nhd,hdc->nc", pooled, out)


def ours(arrays):
    """Each attribution, `(n, t)`, by its name."""
    x, mixes, out, mask, target = (jnp.asarray(array) for array in arrays.values())

    def fn(x):
        return model(x, mixes, out, mask)

    full = jnp.take_along_axis(jax.nn.softmax(fn(x)), target[:, None], -1)[:, 0]
    ask = {"attention": "layers.*.weights", "mask": mask}
    found = {"integrated": measure.integrated_gradients(fn, x, target, steps=STEPS, **ask)}
    for name, renormalize in (("raw", False), ("renormalized", True)):
        asked = ask | {"renormalize": renormalize}
        found[f"gradient_{name}"] = measure.gradient_attribution(fn, x, target, **asked)
        found[f"left_out_{name}"] = measure.leave_one_out(fn, x, target, full, **asked)
    return found
