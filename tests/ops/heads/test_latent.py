"""Latent attention and the output gate against NumPy loops written from their papers."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_jax import ops

B, Q, K, H, D, R, C, E = 2, 3, 5, 7, 4, 6, 11, 13
RNG = np.random.default_rng(12)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


ARRAYS = normal(B, Q, H, D), normal(B, Q, H, R), normal(B, K, C), normal(B, K, R)
PARAMETERS = {"w_key": normal(C, H, D), "w_value": normal(C, H, E)}
MASK, BIAS = jnp.asarray(RNG.random((B, H, Q, K)) < 0.7), normal(B, H, Q, K)
MASK = MASK.at[0, 0, 1].set(False)  # a query that may attend to nothing
attend = jax.jit(functools.partial(ops.latent_attention, **PARAMETERS))


def reference(mask, bias):
    query, rotary_query, latent, rotary_key = (np.asarray(x, np.float64) for x in ARRAYS)
    w_key, w_value = (np.asarray(x, np.float64) for x in PARAMETERS.values())
    context, weights = np.zeros((B, Q, H, E)), np.zeros((B, H, Q, K))
    for b, h, i in np.ndindex(B, H, Q):
        scores = {}
        for j in range(K):
            if mask[b, h, i, j]:
                key = [sum(latent[b, j, c] * w_key[c, h, d] for c in range(C)) for d in range(D)]
                score = query[b, i, h] @ key + rotary_query[b, i, h] @ rotary_key[b, j]
                scores[j] = math.exp(score / math.sqrt(D + R) + bias[b, h, i, j])
        for j, score in scores.items():
            weights[b, h, i, j] = score / sum(scores.values())
            context[b, i, h] += weights[b, h, i, j] * (latent[b, j] @ w_value[:, h])
    return context, weights


def test_it_is_the_formula_of_the_paper():
    context, weights = attend(*ARRAYS, mask=MASK, bias=BIAS)
    expected, expected_weights = reference(np.asarray(MASK), np.asarray(BIAS))
    np.testing.assert_allclose(weights, expected_weights, atol=1e-5)
    np.testing.assert_allclose(context, expected, atol=2e-4)


def test_a_step_that_reads_the_latents_gives_the_same_context():
    """As one shared key head of `[latent; rotary_key]`, whose values are the latents."""
    query, rotary_query, latent, rotary_key = ARRAYS
    queries = ops.absorbed_queries(query, rotary_query, PARAMETERS["w_key"])
    keys = jnp.concatenate([latent, rotary_key], axis=-1)[..., None, :]
    found = ops.attention(queries, keys, latent[..., None, :], scale=(D + R) ** -0.5)
    found = jnp.einsum("bqhc,che->bqhe", found, PARAMETERS["w_value"])
    np.testing.assert_allclose(found, attend(*ARRAYS)[0], atol=2e-4)


def test_what_no_query_may_see_cannot_matter():
    *queries, latent, rotary_key = ARRAYS
    key_mask = jnp.arange(K) != 2
    clean = attend(*ARRAYS, key_mask=key_mask)[0]
    poisoned = latent.at[:, 2].set(jnp.nan), rotary_key.at[:, 2].set(jnp.nan)
    np.testing.assert_array_equal(attend(*queries, *poisoned, key_mask=key_mask)[0], clean)


def test_gradients():
    check_grads(lambda *x: attend(*x, mask=MASK)[0], ARRAYS, 1, ["rev"], atol=3e-2, rtol=3e-2)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"w_key": normal(C + 1, H, D)}, "latent has 11 features and w_key expects 12"),
        ({"w_value": normal(C + 1, H, E)}, "latent has 11 features and w_value expects 12"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        ops.latent_attention(*ARRAYS, **PARAMETERS | change)


@pytest.mark.parametrize("shape", [(H,), (H, E)], ids=["headwise", "elementwise"])
def test_the_output_gate_is_a_sigmoid_of_the_query(shape):
    query, w = normal(B, Q, D), normal(D, *shape)
    expected = np.zeros((B, Q, *shape))
    for b, i, *place in np.ndindex(*expected.shape):
        score = sum(query[b, i, d] * w[(d, *place)] for d in range(D))
        expected[(b, i, *place)] = 1 / (1 + math.exp(-score))
    np.testing.assert_allclose(ops.output_gate(query, w=w), expected, atol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_a_gate_of_another_width_is_refused():
    with pytest.raises(ValueError, match="query has 4 features and w expects 5"):
        ops.output_gate(normal(B, Q, D), w=normal(5, H))
