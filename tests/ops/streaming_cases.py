"""Calls of attention with all its options, of sizes that are distinct primes."""

import jax.numpy as jnp
import numpy as np

B, Q, K, H, KEY_HEADS, D, E = 2, 37, 53, 6, 3, 5, 7
RNG = np.random.default_rng(7)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def booleans(*shape):
    return jnp.asarray(RNG.random(shape) < 0.6)


def numbers(most, *shape):
    return jnp.asarray(RNG.integers(0, most, shape), jnp.int32)


GIVEN = {"query": normal(B, Q, H, D), "key": normal(B, K, KEY_HEADS, D)}
GIVEN |= {"value": normal(B, K, KEY_HEADS, E)}
# The third query sees nothing, nor does one head's twentieth.
MASK = booleans(B, 1, Q, K).at[:, :, 2].set(False)
HEAD_MASK = booleans(1, H, Q, K).at[:, 3, 19].set(False)
BIAS = jnp.where(booleans(1, H, Q, K), normal(1, H, Q, K), -jnp.inf).at[:, 1, 3].set(-jnp.inf)
SEGMENTS = numbers(3, B, Q), numbers(4, B, K)
EVERYTHING = {
    "mask": HEAD_MASK,
    "bias": BIAS[:, :1],
    "causal": True,
    "window": (17, 3),
    "scale": 0.7,
}
EVERYTHING |= {"query_offset": 8, "softcap": 1.5, "sinks": normal(H), "segment_ids": SEGMENTS}
CASES = {
    "plain": ({}, None),
    "causal": ({"causal": True, "bias": normal(B, H, Q, K)}, (8, 16)),
    "causal, offset": ({"causal": True, "query_offset": -5, "scale": 2.0}, (64, 7)),
    "window": ({"window": 4, "query_offset": 6}, (8, 5)),
    "mask": ({"mask": MASK, "bias": normal(Q, 1)}, (1, 53)),
    "mask of the keys": ({"mask": booleans(K), "bias": normal(1, H, 1, K)}, (37, 1)),
    "bias": ({"bias": BIAS}, (10, 20)),
    "softcap": ({"softcap": 0.7, "bias": normal(B, 1, 1, 1), "mask": HEAD_MASK}, (20, 10)),
    "sinks": ({"sinks": normal(H), "mask": MASK}, (13, 11)),
    "segments": ({"segment_ids": (SEGMENTS[0], SEGMENTS[1][0]), "causal": True}, (16, 8)),
    "everything": (EVERYTHING, (9, 17)),
}
