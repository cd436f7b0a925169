"""Scores of heads, against an induction circuit written by hand and uniform attention."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models import (
    CURRENT,
    DUPLICATE,
    FIRST,
    FORGETTING,
    INDUCTION,
    PREVIOUS,
    SINK,
    SUCCESSOR,
    UNIFORM,
    induction_weights,
    model,
)

from attn_jax.circuits import Needles, head_scores, needle_tokens, repeated_tokens
from attn_jax.hooks import HookError, tap

LENGTH = 7
TOKENS = repeated_tokens(jax.random.key(0), FIRST, LENGTH, 2, first=FIRST)
NEEDLES = needle_tokens(jax.random.key(1), FIRST, 9, 3, 5)
ONE = {
    ("previous_token", 0, PREVIOUS),
    ("current_token", 0, CURRENT),
    ("current_token", 1, SUCCESSOR),
    ("first_token", 0, SINK),
    ("duplicate_token", 1, DUPLICATE),
    ("induction", 1, INDUCTION),
    ("retrieval", 1, INDUCTION),
    ("successor", 1, SUCCESSOR),
}
"""The heads that do nothing else than what a score is about."""


@pytest.fixture(scope="module")
def scores():
    order = jnp.arange(FIRST)
    fn = model(induction_weights())
    return head_scores(fn, TOKENS, needles=NEEDLES, order=order)


def harmonic(n):
    return sum(1 / i for i in range(1, n + 1))


def test_each_head_scores_one_where_it_does_nothing_else(scores):
    assert {name for name, _, _ in ONE} == scores.keys()
    for name, score in scores.items():
        assert score.axes == ("layer", "head")
        leaf = "context" if name == "successor" else "weights"
        assert score.names == (f"layers.0.attention.{leaf}", f"layers.1.attention.{leaf}")
        values = np.asarray(score)
        is_one = {(layer, head) for each, layer, head in ONE if each == name}
        for place in np.ndindex(values.shape):
            assert (abs(values[place] - 1) < 1e-6) == (place in is_one), (name, place)


def test_uniform_heads_score_what_the_docstring_says(scores):
    t = TOKENS.shape[1]
    first = (harmonic(t) - 1) / (t - 1)
    # The second half begins at position `1 + LENGTH`.
    earlier = (harmonic(t) - harmonic(1 + LENGTH)) / LENGTH
    expected = {
        "previous_token": first,
        "current_token": harmonic(t) / t,
        "first_token": first,
        "duplicate_token": earlier,
        "induction": earlier,
        "retrieval": 0,
        "successor": 0,
    }
    for name, value in expected.items():
        for place in ((0, UNIFORM), (1, FORGETTING)):
            np.testing.assert_allclose(scores[name].values[place], value, atol=1e-6)


def test_the_values_in_the_docstring():
    """Those of 2 times 50 tokens without a first one."""
    tokens = repeated_tokens(jax.random.key(0), 50, 50, 1)
    causal = jnp.tri(100)[None, None]
    weights = jnp.broadcast_to(causal / causal.sum(-1, keepdims=True), (1, 1, 100, 100))
    scores = head_scores(lambda _: tap("a.weights", weights), tokens)
    values = {name: round(float(score.values[0, 0]), 3) for name, score in scores.items()}
    assert values == {
        "previous_token": 0.042,
        "current_token": 0.052,
        "first_token": 0.042,
        "duplicate_token": 0.014,
        "induction": 0.014,
    }
    assert values["induction"] == round(2 * (harmonic(100) - harmonic(50)) / 100, 3)


def test_a_head_between_the_kinds(scores):
    """Where induction finds nothing, its head attends to everything alike."""
    t, n = TOKENS.shape[1], LENGTH
    value = sum(1 / (q + 1) for q in range(1, n + 1)) / (t - 1)
    np.testing.assert_allclose(scores["first_token"].values[1, INDUCTION], value, atol=1e-6)


def test_scores_are_means_over_the_batch():
    weights = jax.nn.softmax(jax.random.normal(jax.random.key(2), (3, 2, 5, 5)))
    tokens = jnp.array([[1, 2, 1, 2, 1], [3, 3, 4, 5, 6], [1, 2, 3, 4, 5]])
    scores = head_scores(lambda _: tap("a.weights", weights), tokens)
    maps = np.asarray(weights)
    totals = dict.fromkeys(scores, 0.0)
    counts = dict.fromkeys(scores, 0)
    for n, q in np.ndindex(3, 5):
        x = np.asarray(tokens[n])
        keys = {
            "previous_token": [k for k in range(5) if k == q - 1],
            "current_token": [q],
            "first_token": [0] if q else [],
            "duplicate_token": [k for k in range(q) if x[k] == x[q]],
            "induction": [k for k in range(1, q + 1) if x[k - 1] == x[q]],
        }
        for name, each in keys.items():
            totals[name] = totals[name] + maps[n, :, q, each].sum(0)
            counts[name] += bool(each)
    for name, score in scores.items():
        np.testing.assert_allclose(score.values[0], totals[name] / counts[name], rtol=1e-5)


def test_a_text_without_repetition_has_no_induction():
    tokens = jnp.arange(5)[None]
    scores = head_scores(lambda _: tap("a.weights", jnp.full((1, 1, 5, 5), 0.2)), tokens)
    assert np.isnan(scores["induction"].values).all()
    assert not np.isnan(scores["previous_token"].values).any()


def test_retrieval_counts_the_tokens_that_are_looked_up():
    text = jnp.array([[4, 5, 6, 7, 9, 4, 5, 6]])
    weights = np.full((1, 2, 8, 8), 0.1, np.float32)
    weights[0, 0, 5, 1] = 1  # before 5, at the 5 of the needle
    weights[0, 0, 6, 3] = 1  # before 6, at the 7
    weights[0, 1, 6, 2] = 1  # before 6, at the 6
    weights[0, 1, 4, 0] = 1
    needles, weights = Needles(text, jnp.array([1]), 2), jnp.asarray(weights)
    scores = head_scores(lambda _: tap("a.weights", weights), text, needles=needles)
    np.testing.assert_allclose(scores["retrieval"].values, [[0.5, 0.5]])


def test_repeated_tokens():
    assert (TOKENS[:, 0] == FIRST).all()
    np.testing.assert_array_equal(TOKENS[:, 1 : 1 + LENGTH], TOKENS[:, 1 + LENGTH :])
    for row in np.asarray(TOKENS):
        assert len(set(row)) == LENGTH + 1
    assert (TOKENS[0] != TOKENS[1]).any()


def test_needle_tokens():
    tokens, starts, size = np.asarray(NEEDLES.tokens), np.asarray(NEEDLES.starts), NEEDLES.size
    assert tokens.shape == (5, 13)
    assert len(set(starts)) > 1
    for row, start in zip(tokens, starts, strict=True):
        assert len(set(row[:9])) == 9
        np.testing.assert_array_equal(row[start - 1 : start + size], row[-size - 1 :])
        assert 1 <= start <= 9 - size


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: repeated_tokens(jax.random.key(0), 5, 6, 1), "length=6 .* vocabulary of 5"),
        (lambda: needle_tokens(jax.random.key(0), 50, 4, 4, 1), "4 tokens .* length=4"),
    ],
    ids=["vocabulary", "needle"],
)
def test_tokens_that_cannot_be_drawn(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_model_without_attention():
    with pytest.raises(HookError, match=r"head_scores needs .*\*\.weights.*tap_attention"):
        head_scores(lambda tokens: tap("logits", tokens * 1.0), TOKENS)


def test_attention_on_something_else():
    def fn(tokens):
        return tap("cross.weights", jnp.ones((2, 1, tokens.shape[1], 3)))

    with pytest.raises(HookError, match=r"'cross.weights' .*\(n, heads, 15, 15\)"):
        head_scores(fn, TOKENS)


def test_one_program_under_jit(scores):
    compiled = jax.jit(lambda tokens: head_scores(model(induction_weights()), tokens))(TOKENS)
    for name, score in compiled.items():
        np.testing.assert_allclose(score.values, scores[name].values, atol=1e-6)
