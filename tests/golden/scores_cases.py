"""What is compared with PyTorch, Keras and `entmax`: scores, normalisers and the classic heads.

`CASES[name]` is `(inputs, ours)`, as in `structure_cases`; `scores_peers.PEERS[name]` gives the
same from the same, in PyTorch.
"""

import jax.numpy as jnp
import numpy as np
from structure_cases import normal

from attn_jax import ops


def rows_inputs(rng):
    rows, keys = rng.integers(1, 6), rng.integers(1, 12)
    return {"scores": np.float32(rng.uniform(0.3, 4)) * normal(rng, rows, keys)}, {}


def alpha_inputs(rng):
    arrays, _ = rows_inputs(rng)
    rows = arrays["scores"].shape[0]
    return arrays | {"alpha": rng.uniform(1.05, 1.95, (rows, 1)).astype(np.float32)}, {}


def sizes(rng, count):
    return [int(rng.integers(1, 7)) for _ in range(count)]


def visible(rng, *shape):
    """A mask under which each query sees a key: peers disagree about queries that see none."""
    mask = rng.random(shape) < 0.6
    mask[..., 0] = True
    return mask


def attention_inputs(rng):
    batch, queries, keys, d, d_v = sizes(rng, 5)
    arrays = {
        "query": normal(rng, batch, queries, d),
        "key": normal(rng, batch, keys, d),
        "value": normal(rng, batch, keys, d_v),
    }
    return arrays | {"mask": visible(rng, batch, 1, keys)}, {}


def additive_inputs(rng):
    arrays, _ = attention_inputs(rng)
    return arrays | {"v": normal(rng, arrays["query"].shape[-1])}, {}


def additive(query, key, value, mask, v):
    """Keras leaves the projections to other layers."""
    eye = jnp.eye(v.shape[0])
    return ops.additive_attention(query, key, value, w_query=eye, w_key=eye, v=v, mask=mask)[0]


def concat(query, key, value, mask, v):
    w = jnp.concatenate([jnp.eye(v.shape[0])] * 2)
    return ops.concat_attention(query, key, value, w=w, v=v, mask=mask)[0]


def dot(query, key, value, mask):
    return ops.dot_product_attention(query, key, value, mask=mask)[0]


def scaled_inputs(rng):
    arrays, _ = attention_inputs(rng)
    batch, queries, _ = arrays["query"].shape
    keys = arrays["key"].shape[1]
    arrays["mask"] = visible(rng, batch, queries, keys)
    return arrays | {"bias": normal(rng, batch, queries, keys)}, {}


def scaled(query, key, value, mask, bias):
    return ops.scaled_dot_product_attention(query, key, value, mask=mask, bias=bias)[0]


def heads_inputs(rng):
    batch, queries, keys, groups, heads, d = sizes(rng, 6)
    return {
        "query": normal(rng, batch, queries, groups * heads, d),
        "key": normal(rng, batch, keys, heads, d),
        "value": normal(rng, batch, keys, heads, d),
        "mask": visible(rng, batch, groups * heads, queries, keys),
    }, {}


def multi_head_inputs(rng):
    batch, queries, keys, heads, d, d_k, d_v = sizes(rng, 7)
    width = heads * d
    return {
        "query": normal(rng, batch, queries, width),
        "key": normal(rng, batch, keys, d_k),
        "value": normal(rng, batch, keys, d_v),
        "w_query": normal(rng, width, heads, d),
        "w_key": normal(rng, d_k, heads, d),
        "w_value": normal(rng, d_v, heads, d),
        "w_out": normal(rng, heads, d, width),
        "mask": visible(rng, batch, heads, queries, keys),
    }, {}


def multi_head(**arrays):
    return ops.multi_head_attention(**arrays)[0]


def cosine_inputs(rng):
    arrays, _ = attention_inputs(rng)
    return {name: arrays[name] for name in ("query", "key")}, {"temperature": 0.3}


def bilinear_inputs(rng):
    batch, queries, keys, d_q, d_k = sizes(rng, 5)
    arrays = {"query": normal(rng, batch, queries, d_q), "key": normal(rng, batch, keys, d_k)}
    return arrays | {"w": normal(rng, d_q, d_k)}, {}


CASES = {
    "sparsemax": (rows_inputs, ops.sparsemax),
    "entmax15": (rows_inputs, ops.entmax15),
    "entmax": (alpha_inputs, ops.entmax),
    "additive": (additive_inputs, additive),
    "concat": (additive_inputs, concat),
    "dot": (attention_inputs, dot),
    "scaled_dot": (scaled_inputs, scaled),
    "fused": (heads_inputs, ops.attention),
    "multi_head": (multi_head_inputs, multi_head),
    "cosine": (cosine_inputs, ops.cosine_scores),
    "bilinear": (bilinear_inputs, ops.bilinear_scores),
}
