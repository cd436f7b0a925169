"""Maps between words, compared with values by hand and with loops over pieces."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import measure


def test_source_pieces_are_summed_and_target_pieces_averaged():
    # [CLS] un ##believ ##able news [SEP], from two words of two pieces and one.
    weights = jnp.array(
        [
            [0.1, 0.2, 0.3, 0.1, 0.2, 0.1],
            [0.3, 0.0, 0.2, 0.0, 0.4, 0.1],
            [0.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        ]
    )
    source, target = np.array([-1, 0, 0, 0, 1, -1]), np.array([0, 0, 1])
    merged = measure.merge_subwords(weights, source, target)
    np.testing.assert_allclose(merged, [[(0.6 + 0.2) / 2, (0.2 + 0.4) / 2], [0, 1]], rtol=1e-6)


def test_a_batch_with_heads_is_merged_as_loops_do():
    rng = np.random.default_rng(0)
    weights = rng.random((2, 3, 5, 7)).astype(np.float32)
    source = np.array([[0, 0, 1, 2, 2, -1, -1], [0, 1, 1, 1, 2, 3, 3]])
    target = np.array([[0, 1, 1, 2, -1], [0, 0, 0, 1, 1]])
    expected = np.zeros((2, 3, 3, 4))
    for n, h, t, s in np.ndindex(expected.shape):
        rows = [i for i in range(5) if target[n, i] == t]
        cells = [weights[n, h, i, j] for i in rows for j in range(7) if source[n, j] == s]
        expected[n, h, t, s] = sum(cells) / max(len(rows), 1)
    merged = measure.merge_subwords(jnp.asarray(weights), source, target)
    np.testing.assert_allclose(merged, expected, rtol=1e-5)
    jitted = jax.jit(measure.merge_subwords, static_argnames="shape")
    np.testing.assert_allclose(jitted(weights, source, target, shape=(3, 4)), merged, rtol=1e-6)
    wider = measure.merge_subwords(jnp.asarray(weights), source, target, (4, 4))
    np.testing.assert_allclose(wider[:, :, :3], merged, rtol=1e-6)
    assert not wider[:, :, 3].any()


def test_one_row_of_words_serves_all_maps():
    weights = jax.random.uniform(jax.random.key(0), (2, 3, 5, 5))
    words = np.array([0, 0, 1, 2, 2])
    each = measure.merge_subwords(weights[1, 2], words, words)
    np.testing.assert_allclose(measure.merge_subwords(weights, words, words)[1, 2], each, rtol=1e-6)


def test_words_are_linked_by_any_of_their_pieces():
    links = jnp.array([[False, True, False], [False, False, False], [False, False, True]])
    words = np.array([0, 0, 1])
    merged = measure.merge_subwords(links.astype(jnp.float32), words, words) > 0
    assert merged.tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize(
    ("source", "shape", "message"),
    [
        (np.zeros(4, int), None, "source_words has shape (4,), which does not fit weights of"),
        (np.zeros((3, 5), int), None, "source_words has shape (3, 5), which does not fit"),
        (np.full(5, 6), (1, 3), "shape=(1, 3) has no room for (1, 7) target and source words"),
    ],
    ids=["tokens", "batch", "shape"],
)
def test_what_does_not_fit_is_refused(source, shape, message, unchecked):
    with pytest.raises(ValueError, match=re.escape(message)):
        measure.merge_subwords(jnp.ones((2, 3, 5)), source, np.zeros(3, int), shape)


def test_jit_needs_the_number_of_words():
    with pytest.raises(ValueError, match="shape is needed under jit"):
        jax.jit(measure.merge_subwords)(jnp.ones((3, 5)), jnp.zeros(5, int), jnp.zeros(3, int))
