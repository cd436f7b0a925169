"""Patterns of maps and heads, compared with loops in NumPy."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import distance

from attn_jax import measure

B, H, Q, K = 2, 3, 5, 7
RNG = np.random.default_rng(0)
WEIGHTS = RNG.dirichlet(np.ones(K), (B, H, Q)).astype(np.float32)
LENGTHS = np.array([5, 3])
MASK = np.arange(Q) < LENGTHS[:, None]
W, M = jnp.array(WEIGHTS), jnp.array(MASK)[:, None]


def per_map(of_row, keep=lambda n, q: True):
    """Return the mean over the queries that exist of a function of a row and its index."""
    result = np.zeros((B, H))
    for n, h in np.ndindex(B, H):
        rows = [of_row(WEIGHTS[n, h, q], q) for q in range(LENGTHS[n]) if keep(n, q)]
        result[n, h] = np.mean(rows)
    return result


def rows_of(result):
    return measure.mean_over_queries(result, M)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (
            lambda: rows_of(measure.effective_keys(W)),
            lambda: per_map(lambda row, q: np.exp(-(row * np.log(row)).sum())),
        ),
        (
            lambda: rows_of(measure.attention_distance(W, query_offset=2)),
            lambda: per_map(lambda row, q: sum(w * abs(k - q - 2) for k, w in enumerate(row))),
        ),
        (
            lambda: rows_of(measure.sink_mass(W, 2)),
            lambda: per_map(lambda row, q: row[0] + row[1]),
        ),
        (
            lambda: measure.offset_score(W, -1, M),
            lambda: per_map(lambda row, q: row[q - 1], keep=lambda n, q: q > 0),
        ),
        (lambda: measure.offset_score(W, 0, M), lambda: per_map(lambda row, q: row[q])),
        (
            lambda: measure.offset_score(W, 4, M),
            lambda: per_map(lambda row, q: row[q + 4], keep=lambda n, q: q + 4 < K),
        ),
    ],
    ids=["effective", "distance", "sink", "previous", "diagonal", "ahead"],
)
def test_a_score_is_a_mean_over_the_queries_that_there_are(result, expected):
    np.testing.assert_allclose(jax.jit(result)(), expected(), atol=1e-5)


def test_the_vertical_score_is_the_largest_column_mean():
    expected = [[WEIGHTS[n, h, : LENGTHS[n]].mean(0).max() for h in range(H)] for n in range(B)]
    np.testing.assert_allclose(measure.vertical_score(W, M), expected, atol=1e-6)


def test_a_positional_head_is_told_from_others():
    shifted = np.roll(np.eye(7), 2, axis=1)[:5]  # query q looks at key q + 2
    mixed = shifted.copy()
    mixed[0], mixed[4] = np.eye(7)[0], np.eye(7)[0]
    score, offset = measure.positional_score(
        jnp.array([shifted, mixed], jnp.float32), jnp.array([1, 1, 1, 1, 0], bool)
    )
    np.testing.assert_allclose(score, [1, 3 / 4])
    assert offset.tolist() == [2, 2]


def test_the_similarity_of_heads_is_scipys():
    expected = np.zeros((B, H, H))
    for n, i, j in np.ndindex(B, H, H):
        rows = range(LENGTHS[n])
        apart = [distance.jensenshannon(WEIGHTS[n, i, q], WEIGHTS[n, j, q], base=2) for q in rows]
        expected[n, i, j] = 1 - np.mean(np.square(np.nan_to_num(apart)))
    result = measure.head_similarity(W, jnp.array(MASK))
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_heads_that_are_alike_are_one_cluster():
    weights = np.concatenate([WEIGHTS[0], WEIGHTS[0][[1, 0]]])[[0, 1, 2, 3, 4]]
    similarity = measure.head_similarity(jnp.array(weights))
    assert measure.cluster_heads(similarity, 3).tolist() == [0, 1, 2, 1, 0]
    assert measure.cluster_heads([[1.0]], 1).tolist() == [0]


def test_drift_is_zero_for_the_same_and_one_bit_for_what_shares_nothing():
    none = measure.drift(W, W, M)
    np.testing.assert_allclose(none.divergence, 0, atol=1e-6)
    apart = measure.drift(jnp.eye(5)[None], jnp.full((1, 5, 5), 0.25) * (1 - jnp.eye(5)[None]))
    np.testing.assert_allclose(apart.divergence, [1], atol=1e-6)
    np.testing.assert_allclose(apart.entropy, [np.log(4)], atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: measure.sink_mass(W, 9), "sinks=9 must be from 1 to the number of keys, 7"),
        (
            lambda: measure.effective_keys(W.at[1, 2, 3].multiply(2)),
            "row (1, 2, 3) of weights has the sum 2",
        ),
        (
            lambda: measure.attention_distance(W.at[0, 1, 4, 0].set(jnp.nan)),
            "row (0, 1, 4) of weights has the sum nan",
        ),
        (
            lambda: measure.head_similarity(W - 0.5),
            "and 30 of 30 rows are not distributions",
        ),
        (lambda: measure.drift(W, W / 2), "row (0, 0, 0) of after has the sum 0.5"),
        (
            lambda: measure.offset_score(W, 0, M.at[1].set(False)),
            "query_mask leaves 1 of 2 maps without queries, first (1, 0)",
        ),
        (
            lambda: measure.offset_score(W[0, 0], 0, jnp.zeros(Q, bool)),
            "query_mask leaves 1 of 1 maps without queries; drop",
        ),
        (lambda: measure.drift(W, W[..., :3, :]), "before has shape (2, 3, 5, 7)"),
        (lambda: measure.cluster_heads(np.ones((2, 3)), 1), "similarity has shape (2, 3)"),
        (
            lambda: measure.cluster_heads(np.ones((3, 3)), 5),
            "clusters=5 must be from 1 to the number of heads, 3",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message, unchecked):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_padded_rows_and_low_precision_are_distributions_too():
    padded = (W * M[..., None]).astype(jnp.bfloat16)
    assert (measure.effective_keys(padded)[1, :, 3:] == 1).all()


def test_a_map_without_a_key_at_the_offset_scores_zero():
    alone = jnp.array([1, 0, 0, 0, 0], bool)
    np.testing.assert_array_equal(measure.offset_score(W, -1, alone), 0)


@pytest.mark.parametrize(
    "of_map",
    [
        measure.effective_keys,
        measure.attention_distance,
        functools.partial(measure.offset_score, offset=-1),
        measure.vertical_score,
        lambda w: measure.positional_score(w)[0],
        measure.head_similarity,
    ],
)
def test_batched_is_one_by_one(of_map):
    np.testing.assert_allclose(
        jax.jit(of_map)(W), np.stack([of_map(w) for w in W]), atol=1e-6, rtol=1e-5
    )
