"""Masks of sparse attention, pair by pair."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_jax import ops


@settings(max_examples=15, deadline=None)
@given(
    left=st.integers(0, 3), right=st.integers(0, 3), n=st.integers(1, 4), offset=st.integers(-2, 5)
)
def test_dilated(left, right, n, offset):
    mask = np.asarray(ops.dilated_mask(5, 7, (left, right), dilation=n, query_offset=offset))
    for i, j in np.ndindex(5, 7):
        assert mask[i, j] == (j - i - offset in range(-left * n, right * n + 1, n))


def test_a_dilation_of_one_is_the_window():
    np.testing.assert_array_equal(ops.dilated_mask(5, 7, 2, dilation=1), ops.window_mask(5, 7, 2))


def test_block_sparse():
    layout = np.random.default_rng(9).random((2, 3, 4)) < 0.5
    mask = np.asarray(ops.block_sparse_mask(7, 11, layout=jnp.asarray(layout), block_size=3))
    for b, i, j in np.ndindex(2, 7, 11):
        assert mask[b, i, j] == layout[b, i // 3, j // 3]


def test_prefix():
    lengths = np.array([[0, 2, 7], [1, 3, 5]])
    mask = np.asarray(ops.prefix_mask(5, 7, lengths=jnp.asarray(lengths), query_offset=1))
    for a, b, i, j in np.ndindex(2, 3, 5, 7):
        assert mask[a, b, i, j] == (j < lengths[a, b] or j <= i + 1)
    offsets = jnp.array([[0, 1, 2], [3, 4, 5]])
    both = ops.prefix_mask(5, 7, lengths=jnp.asarray(lengths), query_offset=offsets)
    alone = ops.prefix_mask(5, 7, lengths=jnp.array(5), query_offset=5)
    np.testing.assert_array_equal(both[1, 2], alone)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.dilated_mask(3, 3, 1, dilation=0), "dilation=0 must be at least 1"),
        (lambda: ops.dilated_mask(3, 3, (-1, 0), dilation=2), "negative side"),
        (
            lambda: ops.block_sparse_mask(3, 5, layout=jnp.ones((2, 2), bool), block_size=2),
            r"layout has \(2, 2\) blocks; 3 queries and 5 keys in blocks of 2 need \(2, 3\)",
        ),
        (
            lambda: ops.block_sparse_mask(3, 5, layout=jnp.ones((2, 2), bool), block_size=0),
            "block_size=0 must be at least 1",
        ),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.usefixtures("unchecked")
def test_a_layout_of_numbers_is_refused():
    with pytest.raises(TypeError, match="must be boolean"):
        ops.block_sparse_mask(3, 4, layout=jnp.ones((2, 2)), block_size=2)
