"""Compares this library with inseq on one text of a language model."""

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax import measure, pretrained
from attn_jax.hooks import activation_grads, capture

READ = 3
"""The tokens that are given; the others are written."""

HEAD, QUERY = 1, 5


def check(folder, tokens, expected):
    """Compare a card's map, and the gradient times the embedding of each token."""
    model = pretrained.load(folder)
    point = "token_embedding" if "gpt2" in str(folder) else "embedding"
    # A row for each token that is written: its logit alone counts.
    positions = jnp.arange(READ - 1, len(tokens) - 1)
    inputs = jnp.tile(jnp.asarray(tokens)[None, :-1], (len(positions), 1))

    def fn(tokens):
        return model({"tokens": tokens})

    def logits(inputs):
        rows = jnp.arange(len(positions))
        return fn(inputs)[rows, positions, jnp.asarray(tokens)[positions + 1]].sum()

    @jax.jit
    def run(inputs):
        _, embedded = capture(fn, point)(inputs)
        _, mean = measure.received(fn, "*.weights", query=QUERY)(inputs)
        _, head = measure.received(fn, "layers.1.*.weights", query=QUERY, heads=[HEAD])(inputs)
        return mean[0], head[0], embedded[point] * activation_grads(logits, point)(inputs)[point]

    *maps, products = run(inputs)
    theirs = expected["maps"][:, :, QUERY - READ + 1]
    for map_, values in zip(maps, (theirs.mean((0, 1)), theirs[1, HEAD]), strict=True):
        np.testing.assert_allclose(map_, values, rtol=0, atol=2e-6)
    scale = max(1, np.abs(expected["products"]).max())
    np.testing.assert_allclose(products, expected["products"], rtol=0, atol=2e-5 * scale)
