"""What is compared with `transformers` and PyTorch: random inputs, and this library's answer.

`CASES[name]` is `(inputs, ours)`. `inputs(rng)` gives arrays and options of a random small
configuration; `ours(**arrays, **options)` gives one array. `structure_peers.PEERS[name]` gives the
same from the same, in PyTorch.
"""

import numpy as np

from attn_jax import ops


def normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def positions_inputs(rng):
    batch, tokens, heads, dim = rng.integers(1, 4), rng.integers(2, 8), rng.integers(1, 4), 6
    arrays = {"x": normal(rng, batch, tokens, heads, dim)}
    arrays["positions"] = rng.integers(0, 99, (batch, tokens)).astype(np.int32)
    return arrays, {}


def rotary_inputs(rng):
    arrays, _ = positions_inputs(rng)
    return arrays, {"base": float(rng.choice([10_000, 500_000]))}


def rotary(x, positions, base):
    frequencies = ops.rotary_frequencies(x.shape[-1], base=base)
    return ops.rotary(x, positions=positions, frequencies=frequencies)


def t5_inputs(rng):
    buckets = 2 * int(rng.integers(4, 17))
    options = {
        "num_queries": int(rng.integers(3, 60)),
        "num_keys": int(rng.integers(3, 60)),
        "max_distance": int(rng.integers(buckets, 4 * buckets)),
        "causal": bool(rng.integers(2)),
    }
    return {"table": normal(rng, buckets, rng.integers(1, 4))}, options


def heads_inputs(rng, groups=None):
    """Queries, keys and values; groups of query heads share a key head."""
    batch, queries, heads, dim = (int(rng.integers(1, 5)) for _ in range(4))
    keys, groups = queries + int(rng.integers(0, 4)), groups or int(rng.integers(1, 4))
    return {
        "query": normal(rng, batch, queries, heads * groups, 2 * dim),
        "key": normal(rng, batch, keys, heads, 2 * dim),
        "value": normal(rng, batch, keys, heads, 2 * dim),
    }


def grouped_inputs(rng):
    return heads_inputs(rng, groups=int(rng.integers(2, 4))), {}


def alibi_inputs(rng):
    arrays = heads_inputs(rng, groups=1)
    tokens = arrays["query"].shape[1]
    return arrays | {name: arrays[name][:, :tokens] for name in ("key", "value")}, {}


def alibi(query, key, value):
    bias = ops.alibi_bias(query.shape[-3], key.shape[-3], num_heads=query.shape[-2])
    return ops.attention(query, key, value, bias=bias[None], causal=True)


def softcap_inputs(rng):
    return heads_inputs(rng), {"softcap": float(rng.uniform(0.5, 5)), "scale": 0.7}


def sinks_inputs(rng):
    arrays = heads_inputs(rng)
    return arrays | {"sinks": normal(rng, arrays["query"].shape[-2])}, {}


def window_inputs(rng):
    return heads_inputs(rng), {"window": int(rng.integers(1, 5))}


def window(query, key, value, window):
    """A window of n counts the query's own key."""
    offset = key.shape[-3] - query.shape[-3]
    return ops.attention(
        query, key, value, causal=True, window=(window - 1, 0), query_offset=offset
    )


def causal(query, key, value, **options):
    """The queries are the last of the keys' tokens."""
    offset = key.shape[-3] - query.shape[-3]
    return ops.attention(query, key, value, causal=True, query_offset=offset, **options)


def query_key_norm_inputs(rng):
    arrays = heads_inputs(rng)
    dim = arrays["query"].shape[-1]
    scales = {name: normal(rng, dim) for name in ("query_scale", "key_scale")}
    return arrays | scales, {}


def query_key_norm(query, key, value, query_scale, key_scale):
    query, key = ops.query_key_norm(query, key, query_scale=query_scale, key_scale=key_scale)
    return causal(query, key, value)


def differential_inputs(rng):
    batch, tokens, pairs, dim = (int(rng.integers(1, 4)) for _ in range(4))
    groups, tokens, dim = int(rng.integers(1, 3)), tokens + 1, 2 * dim
    arrays = {
        "query": normal(rng, batch, tokens, 2 * pairs * groups, dim),
        "key": normal(rng, batch, tokens, 2 * pairs, dim),
        "value": normal(rng, batch, tokens, pairs, 2 * dim),
    }
    vectors = {f"{name}_{i}": 0.3 * normal(rng, dim) for i in (1, 2) for name in ("lq", "lk")}
    return arrays | vectors, {"initial": 0.8}


def differential(query, key, value, lq_1, lk_1, lq_2, lk_2, initial):
    lambda_ = ops.differential_lambda(lq_1, lk_1, lq_2, lk_2, initial=initial)
    mask = ops.causal_mask(query.shape[1], key.shape[1])
    return ops.differential_attention(query, key, value, lambda_=lambda_, mask=mask)[0]


def nystrom_inputs(rng):
    landmarks, length, dim = int(rng.integers(2, 5)), int(rng.integers(2, 4)), 4
    arrays = {name: normal(rng, landmarks * length, dim) for name in ("query", "key", "value")}
    return arrays, {"num_landmarks": landmarks}


def streamed_inputs(rng):
    queries, keys = (int(rng.integers(11, 24)) for _ in range(2))
    arrays = {
        "query": normal(rng, 1, queries, 4, 6),
        "key": normal(rng, 1, keys, 2, 6),
        "value": normal(rng, 1, keys, 2, 5),
    }
    return arrays, {"causal": True}


def streamed_masked_inputs(rng):
    arrays, _ = streamed_inputs(rng)
    sizes = arrays["query"].shape[1], arrays["key"].shape[1]
    mask = rng.random((1, 1, *sizes)) < 0.6
    mask[..., 3] = True  # PyTorch is not asked about queries that see nothing
    return arrays | {"mask": mask, "bias": normal(rng, 4, *sizes)}, {"scale": 0.9}


def streamed(query, key, value, bias=None, **options):
    options |= {"bias": None if bias is None else bias[None], "block_sizes": (5, 4)}
    return ops.streaming_attention(query, key, value, **options)


CASES = {
    "rotary": (rotary_inputs, rotary),
    "rotary_pairs": (positions_inputs, ops.rotary_pairs),
    "t5_relative_bias": (t5_inputs, ops.t5_relative_bias),
    "alibi": (alibi_inputs, alibi),
    "grouped_query": (grouped_inputs, causal),
    "softcap": (softcap_inputs, causal),
    "sinks": (sinks_inputs, causal),
    "window": (window_inputs, window),
    "query_key_norm": (query_key_norm_inputs, query_key_norm),
    "differential": (differential_inputs, differential),
    "nystrom": (nystrom_inputs, ops.nystrom_attention),
    "streamed": (streamed_inputs, streamed),
    "streamed_masked": (streamed_masked_inputs, streamed),
}
