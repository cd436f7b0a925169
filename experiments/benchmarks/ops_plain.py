"""The plain mathematics for the benchmark `ops`: no masks, no checks, no edge cases."""

import functools
import math

import jax
import jax.numpy as jnp
from jax import Array, lax

from attn_jax.ops import alibi_bias


def chain(scores: Array, value: Array) -> Array:
    """Weigh the values by the softmax of the scores."""
    return jnp.einsum("bqk,bkd->bqd", jax.nn.softmax(scores), value)


def dot(query: Array, key: Array, value: Array) -> Array:
    """Compute Luong's dot-product attention."""
    return chain(jnp.einsum("bqd,bkd->bqk", query, key), value)


def scaled_dot(query: Array, key: Array, value: Array) -> Array:
    """Compute Vaswani's scaled dot-product attention."""
    return dot(query / math.sqrt(query.shape[-1]), key, value)


def bilinear(query: Array, key: Array, value: Array, w: Array) -> Array:
    """Compute Luong's general attention."""
    return dot(query @ w, key, value)


def cosine(query: Array, key: Array, value: Array) -> Array:
    """Compute Graves's cosine attention."""
    query, key = (x / jnp.linalg.norm(x, axis=-1, keepdims=True) for x in (query, key))
    return dot(query, key, value)


def additive(query, key, value, w_query, w_key, v) -> Array:
    """Compute Bahdanau's additive attention."""
    hidden = jnp.tanh((query @ w_query)[:, :, None] + (key @ w_key)[:, None])
    return chain(jnp.einsum("bqka,a->bqk", hidden, v), value)


def multi_head(query, key, value, w_query, w_key, w_value, w_out) -> Array:
    """Compute Vaswani's multi-head attention, as an einsum chain."""
    query, key, value = (
        jnp.einsum("btd,dhe->bthe", x, w)
        for x, w in ((query, w_query), (key, w_key), (value, w_value))
    )
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / math.sqrt(query.shape[-1])
    context = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), value)
    return jnp.einsum("bqhe,hed->bqd", context, w_out)


def linear(query: Array, key: Array, value: Array) -> Array:
    """Compute Katharopoulos's linear attention."""
    query, key = jax.nn.elu(query) + 1, jax.nn.elu(key) + 1
    above = jnp.einsum("bqf,bfd->bqd", query, jnp.einsum("bkf,bkd->bfd", key, value))
    return above / jnp.einsum("bqf,bf->bq", query, key.sum(axis=1))[..., None]


def fused_alibi(query: Array, key: Array, value: Array) -> Array:
    """Compute ALiBi with the bias argument of jax.nn."""
    bias = alibi_bias(query.shape[-3], key.shape[-3], num_heads=query.shape[-2])
    return jax.nn.dot_product_attention(query, key, value, bias[None])


def sparsemax(scores: Array) -> Array:
    """Compute sparsemax by sorting (Martins and Astudillo 2016, algorithm 1)."""
    ordered = -jnp.sort(-scores)
    counts = jnp.arange(1, scores.shape[-1] + 1)
    sums = jnp.cumsum(ordered, axis=-1)
    kept = (1 + counts.reshape(1, 1, -1) * ordered > sums).sum(-1, keepdims=True)
    threshold = (jnp.take_along_axis(sums, kept - 1, axis=-1) - 1) / kept
    return jnp.maximum(scores - threshold, 0)


def entmax15(scores: Array) -> Array:
    """Compute 1.5-entmax by sorting (Peters, Niculae and Martins 2019, algorithm 2)."""
    ordered = -jnp.sort(-scores / 2)
    counts = jnp.arange(1, scores.shape[-1] + 1).reshape(1, 1, -1)
    mean = jnp.cumsum(ordered, axis=-1) / counts
    spread = counts * (jnp.cumsum(ordered**2, axis=-1) / counts - mean**2)
    thresholds = mean - jnp.sqrt(jnp.maximum((1 - spread) / counts, 0))
    kept = (thresholds <= ordered).sum(-1, keepdims=True)
    threshold = jnp.take_along_axis(thresholds, kept - 1, axis=-1)
    return jnp.maximum(scores / 2 - threshold, 0) ** 2


def entmax(scores: Array, alpha: float = 1.3, steps: int = 30) -> Array:
    """Compute entmax by bisection (Peters, Niculae and Martins 2019, algorithm 1)."""
    scores = (alpha - 1) * scores
    low = scores.max(-1, keepdims=True) - 1
    width = 1 - (1 / scores.shape[-1]) ** (alpha - 1)

    def weights(threshold: Array) -> Array:
        return jnp.maximum(scores - threshold, 0) ** (1 / (alpha - 1))

    def step(i: int, low: Array) -> Array:
        middle = low + width / 2.0 ** (i + 1)
        return jnp.where(weights(middle).sum(-1, keepdims=True) >= 1, middle, low)

    found = weights(lax.fori_loop(0, steps, step, low))
    return found / found.sum(-1, keepdims=True)


def monotonic(scores: Array) -> Array:
    """Compute monotonic attention by cumulative products (Raffel et al. 2017, equation 12)."""
    stop = jax.nn.sigmoid(scores)
    passed = jnp.cumprod(jnp.maximum(1 - stop, 1e-10), axis=-1)
    passed = jnp.concatenate([jnp.ones_like(passed[..., :1]), passed[..., :-1]], axis=-1)

    def step(previous: Array, query: tuple[Array, Array]) -> tuple[Array, Array]:
        stop, passed = query
        weights = stop * passed * jnp.cumsum(previous / jnp.maximum(passed, 1e-10), axis=-1)
        return weights, weights

    first = jnp.zeros_like(scores[:, 0]).at[:, 0].set(1)
    _, weights = lax.scan(step, first, (stop.swapaxes(0, 1), passed.swapaxes(0, 1)))
    return weights.swapaxes(0, 1)


PLAIN = {
    "jax.nn": jax.nn.dot_product_attention,
    "jax.nn, causal": functools.partial(jax.nn.dot_product_attention, is_causal=True),
    "jax.nn, ALiBi": fused_alibi,
    "dot": dot,
    "scaled dot": scaled_dot,
    "bilinear": bilinear,
    "cosine": cosine,
    "additive": additive,
    "multi-head": multi_head,
    "linear": linear,
    "softmax": jax.nn.softmax,
    "sparsemax by sorting": sparsemax,
    "1.5-entmax by sorting": entmax15,
    "1.3-entmax by halving": entmax,
    "monotonic by dividing": monotonic,
}
