"""Two layers of attention as a module of this library, and as Linen's and NNX's own, tapped.

Their parameters have the same names, so that one function in NumPy is the reference of them all.
"""

import functools

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attn_jax import nn
from attn_jax.hooks import tap, tap_attention
from attn_jax.interop import named

HEADS, FEATURES, VOCABULARY, LAYERS = 3, 12, 7, 2
X = jax.random.normal(jax.random.key(0), (2, 5, FEATURES))
MASK = jnp.tri(5, dtype=bool)[None, None]


class Linen(flax.linen.Module):
    """Two attentions of Flax or of this library, and a projection to logits."""

    attention: type

    @flax.linen.compact
    def __call__(self, x):
        x = tap("embedding", x)
        for i in range(LAYERS):
            attend = self.attention(num_heads=HEADS, name=f"layers_{i}")
            x = tap(f"layers.{i}.residual_out", x + attend(x, mask=MASK))
        return flax.linen.Dense(VOCABULARY, name="head")(x)


class NNX(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.layers = nnx.List(
            [
                nnx.MultiHeadAttention(HEADS, FEATURES, decode=False, rngs=rngs)
                for _ in range(LAYERS)
            ]
        )
        self.head = nnx.Linear(FEATURES, VOCABULARY, rngs=rngs)

    def __call__(self, x):
        x = tap("embedding", x)
        for i, attend in enumerate(self.layers):
            x = tap(f"layers.{i}.residual_out", x + attend(x, mask=MASK))
        return self.head(x)


def linen(attention):
    model = Linen(attention)
    variables = model.init(jax.random.key(0), X)
    return functools.partial(model.apply, variables), variables["params"]


def ours():
    return linen(nn.MultiHeadAttention)


def tapped_linen():
    fn, params = linen(flax.linen.MultiHeadDotProductAttention)
    return tap_attention(fn), params


def tapped_nnx():
    model = NNX()
    layers = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    params = {f"layers_{i}": layer for i, layer in layers["layers"].items()}
    return tap_attention(named(model, model)), params | {"head": layers["head"]}


MODELS = (ours, tapped_linen, tapped_nnx)


def reference(params, x, edit=lambda name, value: value):
    """The logits in NumPy, float64, with an edit of each value under the name of its part."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    x = edit("embedding", np.asarray(x, np.float64))
    for i in range(LAYERS):
        layer = params[f"layers_{i}"]
        query, key, value = (
            np.einsum("btf,fhd->bthd", x, layer[name]["kernel"]) + layer[name]["bias"]
            for name in ("query", "key", "value")
        )
        scores = np.einsum("bqhd,bkhd->bhqk", query, key) / np.sqrt(query.shape[-1])
        weights = np.exp(np.where(np.asarray(MASK), scores, -np.inf))
        weights = edit(f"{i}.weights", weights / weights.sum(-1, keepdims=True))
        context = edit(f"{i}.context", np.einsum("bhqk,bkhd->bqhd", weights, value))
        written = np.einsum("bqhd,hdf->bqf", context, layer["out"]["kernel"])
        x = edit(f"{i}.residual_out", x + written + layer["out"]["bias"])
    return x @ params["head"]["kernel"] + params["head"]["bias"]


def values_of(params, x):
    """Every value of the reference, by the name of its part."""
    values = {}
    reference(params, x, lambda name, value: values.setdefault(name, value))
    return values
