"""Streaming attention, its gradients and its summary, against NumPy with the whole map."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_attention import Reference, check_summary, close
from streaming_cases import CASES, GIVEN, B, E, H, Q, normal

from attn_jax.ops import Summary, streaming_attention

POOLED = (5, 11)
WANTED = Summary(True, True, top_k=4, received=True, distance=True, pooled=POOLED)
TOWARD = normal(B, Q, H, E)
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


@pytest.mark.parametrize("name", ["causal, offset", "mask", "bias", "everything"])
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
