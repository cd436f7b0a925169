"""Streaming attention, its gradients and its summary, against NumPy with the whole map."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_attention import Reference, check_summary, close

from attn_jax.ops import Summary, streaming_attention

B, Q, K, H, KEY_HEADS, D, E = 2, 37, 53, 6, 3, 5, 7
POOLED = (5, 11)
WANTED = Summary(True, True, top_k=4, received=True, distance=True, pooled=POOLED)
RNG = np.random.default_rng(7)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def booleans(*shape):
    return jnp.asarray(RNG.random(shape) < 0.6)


def numbers(most, *shape):
    return jnp.asarray(RNG.integers(0, most, shape), jnp.int32)


GIVEN = {"query": normal(B, Q, H, D), "key": normal(B, K, KEY_HEADS, D)}
GIVEN |= {"value": normal(B, K, KEY_HEADS, E)}
TOWARD = normal(B, Q, H, E)
# The third query sees nothing, nor does one head's twentieth.
MASK = booleans(B, 1, Q, K).at[:, :, 2].set(False)
HEAD_MASK = booleans(H, Q, K).at[3, 19].set(False)
BIAS = jnp.where(booleans(H, Q, K), normal(H, Q, K), -jnp.inf).at[1, 3].set(-jnp.inf)
SEGMENTS = numbers(3, B, Q), numbers(4, B, K)
EVERYTHING = {"mask": HEAD_MASK, "bias": BIAS[:1], "causal": True, "window": (17, 3), "scale": 0.7}
EVERYTHING |= {"query_offset": 8, "softcap": 1.5, "sinks": normal(H), "segment_ids": SEGMENTS}
CASES = {
    "plain": ({}, None),
    "causal": ({"causal": True, "bias": normal(B, H, Q, K)}, (8, 16)),
    "causal, offset": ({"causal": True, "query_offset": 9, "scale": 2.0}, (64, 7)),
    "causal, negative offset": ({"causal": True, "query_offset": -5}, (7, 64)),
    "window": ({"window": (11, 4)}, (8, 5)),
    "one window": ({"window": 3, "query_offset": 20}, (5, 8)),
    "mask": ({"mask": MASK, "bias": normal(Q, 1)}, (1, 53)),
    "mask of the keys": ({"mask": booleans(K), "bias": normal(H, 1, K)}, (37, 1)),
    "bias": ({"bias": BIAS}, (10, 20)),
    "softcap": ({"softcap": 0.7, "bias": normal(B, 1, 1, 1), "mask": HEAD_MASK}, (20, 10)),
    "sinks": ({"sinks": normal(H), "mask": MASK}, (13, 11)),
    "segments": ({"segment_ids": SEGMENTS, "causal": True}, (16, 8)),
    "segments of all": ({"segment_ids": (SEGMENTS[0][0], SEGMENTS[1][0])}, (11, 13)),
    "everything": (EVERYTHING, (9, 17)),
}
EACH = pytest.mark.parametrize("name", CASES)


def call(options, blocks=None, summary=None):
    def attend(varied):
        return streaming_attention(**options | varied, block_sizes=blocks, summary=summary)

    return attend


def varied_in(options):
    """All that has a gradient."""
    return GIVEN | {name: options[name] for name in ("bias", "sinks") if name in options}


@functools.cache
def found_in(name):
    """Context, summary and gradients, by one program."""
    options, blocks = CASES[name]

    @jax.jit
    def everything(varied):
        context, pull, found = jax.vjp(call(options, blocks, WANTED), varied, has_aux=True)
        return context, found, pull(TOWARD)[0]

    return everything(varied_in(options))


@functools.cache
def reference_of(name):
    return Reference(**GIVEN, **CASES[name][0])


@EACH
def test_the_context_follows_the_formula(name):
    close(found_in(name)[0], reference_of(name).context)


@EACH
def test_the_summary_tells_what_the_map_holds(name):
    check_summary(found_in(name)[1], reference_of(name), POOLED)


@EACH
def test_the_gradients_follow_the_formula(name):
    wanted = reference_of(name).gradients(TOWARD)
    gradients = found_in(name)[2]
    assert wanted.keys() == gradients.keys()
    for argument, gradient in gradients.items():
        close(gradient, wanted[argument], 2e-5)


@pytest.mark.parametrize("name", ["causal, negative offset", "mask", "bias", "everything"])
def test_rows_that_see_nothing_are_zero_with_zero_gradients(name):
    context, found, gradients = found_in(name)
    is_empty = reference_of(name).is_empty
    assert 0 < is_empty.sum() < is_empty.size
    assert not np.moveaxis(context, -2, -3)[is_empty].any()
    assert not np.moveaxis(gradients["query"], -2, -3)[is_empty].any()
    assert (found.max_logit[is_empty] == -jnp.inf).all()
    for zero in (found.entropy, found.distance, found.top_weights):
        assert not zero[is_empty].any()
    assert (found.top_indices[is_empty] == -1).all()
    assert all(jnp.isfinite(gradient).all() for gradient in gradients.values())


def test_of_rows_that_see_nothing_only_a_sink_is_in_the_normalizer():
    found = found_in("mask")[1]
    assert (found.log_normalizer[:, :, 2] == -jnp.inf).all()
    sinks = CASES["sinks"][0]["sinks"]
    of_empty = found_in("sinks")[1].log_normalizer[:, :, 2]
    close(of_empty, np.broadcast_to(np.asarray(sinks, float), (B, H)))
