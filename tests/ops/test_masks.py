"""Masks, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import ops


def test_causal_with_a_traced_offset():
    mask = jax.jit(lambda n: ops.causal_mask(2, 5, query_offset=n))(3)
    np.testing.assert_array_equal(mask, [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]])


@pytest.mark.parametrize(("window", "row"), [((1, 0), [0, 1, 1, 0, 0]), (1, [0, 1, 1, 1, 0])])
def test_window_ends_are_included(window, row):
    np.testing.assert_array_equal(ops.window_mask(1, 5, window, query_offset=2)[0], row)


def test_a_negative_window_is_refused():
    with pytest.raises(ValueError, match=r"window=\(-1, 2\) has a negative side"):
        ops.window_mask(3, 3, (-1, 2))


def test_padding_of_several_batch_axes():
    mask = ops.padding_mask(3, lengths=jnp.array([[0, 2], [3, 1]]))
    assert mask.shape == (2, 2, 1, 3)
    np.testing.assert_array_equal(mask[:, :, 0].sum(-1), [[0, 2], [3, 1]])


def test_masks_of_unequal_rank_combine():
    combined = ops.combine_masks(jnp.array([True, False, True]), None, jnp.ones((2, 1, 3), bool))
    np.testing.assert_array_equal(combined, [[[1, 0, 1]], [[1, 0, 1]]])
    assert ops.combine_masks(None, None) is None


def test_masks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\[\(3,\), \(5,\)\] do not broadcast"):
        ops.combine_masks(jnp.ones(3, bool), jnp.ones(5, bool))
