"""The stages that all attentions share: prepare the inputs, add the bias, normalize, weigh."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.masks import combine_masks, with_key_mask
from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.shapes import (
    HEAD_AXES,
    align_to_scores,
    as_float,
    check_attention_inputs,
    check_head_inputs,
    check_mask,
)


class Inputs(NamedTuple):
    """The checked inputs of an attention.

    Attributes:
        query: The query, of a float type, like key and value.
        key: The key, zero where no query may attend.
        value: The value, zero where no query may attend.
        mask: The mask, with the rank of the scores; None if nothing is hidden.
        bias: The bias, with the rank of the scores, or None.
    """

    query: jax.Array
    key: jax.Array
    value: jax.Array
    mask: jax.Array | None
    bias: jax.Array | None


def prepare(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    mask: jax.Array | None = None,
    bias: jax.Array | None = None,
    key_mask: jax.Array | None = None,
    structure: jax.Array | None = None,
    num_heads: int | None = None,
) -> Inputs:
    """Check the inputs of an attention, and convert them for the stages.

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        value: `(*b, k, d_v)`.
        mask: True = may attend; `(*b, q, k)` (with heads `(*b, h, q, k)`) with ones allowed,
            `(q, k)` or `(k,)`.
        bias: Added to the scores, of the same shapes; minus infinity hides.
        key_mask: `(*b, k)`; True = the key exists.
        structure: The mask of the attention itself, such as its window, `(q, k)`.
        num_heads: h, if the tokens will be split into heads; then scores are `(*b, h, q, k)`.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.
    """
    check_attention_inputs(query, key, value)
    batch, heads = query.shape[:-2], () if num_heads is None else (num_heads,)
    shape = (*batch, *heads, query.shape[-2], key.shape[-2])
    mask, bias = _aligned(mask, bias, key_mask, structure, shape, len(batch))
    query, key, value = as_float(query, key, value)
    visible = visible_pairs(mask, bias)
    if visible is not None:
        # Tokens are not split into heads yet, so a key stays if any query of any head sees it.
        visible_keys = visible.any(axis=tuple(range(len(batch), len(shape) - 1)))
        key, value = hide_unseen(visible_keys, key, value)
    return Inputs(query, key, value, mask, bias)


def prepare_heads(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    mask: jax.Array | None = None,
    bias: jax.Array | None = None,
    key_mask: jax.Array | None = None,
    num_heads: int,
) -> Inputs:
    """Prepare inputs, as :func:`prepare` does, in the layout `(*b, tokens, heads, features)`.

    Args:
        query: `(*b, q, h, d)`.
        key: `(*b, k, h_k, d)`.
        value: `(*b, k, h_v, e)`.
        mask: True = may attend; `(*b, h, q, k)` with ones allowed, `(q, k)` or `(k,)`.
        bias: Added to the scores, of the same shapes; minus infinity hides.
        key_mask: `(*b, k)`; True = the key exists.
        num_heads: h, the heads of the scores.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.
    """
    check_head_inputs(query, key, value)
    tokens = [x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1]) for x in (query, key, value)]
    inputs = prepare(*tokens, mask=mask, bias=bias, key_mask=key_mask, num_heads=num_heads)
    heads = [x.reshape(y.shape) for x, y in zip(inputs[:3], (query, key, value), strict=True)]
    return inputs._replace(query=heads[0], key=heads[1], value=heads[2])


def _aligned(
    mask: jax.Array | None,
    bias: jax.Array | None,
    key_mask: jax.Array | None,
    structure: jax.Array | None,
    shape: tuple[int, ...],
    batch: int,
) -> tuple[jax.Array | None, jax.Array | None]:
    """Return one mask of all masks, and the bias, both with the rank of the scores."""
    axes = "(*batch, queries, keys)" if len(shape) == batch + 2 else HEAD_AXES
    if mask is not None:
        check_mask(mask)
        mask = align_to_scores("mask", mask, shape, axes)
    if structure is not None:
        mask = combine_masks(mask, align_to_scores("mask", structure, shape, axes))
    if bias is not None:
        (bias,) = as_float(align_to_scores("bias", bias, shape, axes))
    return with_key_mask(mask, key_mask, shape, batch), bias


def visible_pairs(
    mask: Bool[Array, "..."] | None, bias: Float[Array, "..."] | None
) -> Bool[Array, "..."] | None:
    """Return the pairs of query and key that are visible; None if nothing is hidden.

    Args:
        mask: True = may attend; of the rank of the scores.
        bias: Added to the scores; minus infinity hides.
    """
    return combine_masks(mask, None if bias is None else bias > -jnp.inf)


MASKING_BIAS = -1e4
"""The bias from which down a pair counts as masked. Models that know no boolean masks add -1e4,
-1e9, or the lowest number of a type."""


def unmasked_pairs(
    mask: Bool[Array, "..."] | None, bias: Float[Array, "..."] | None
) -> Bool[Array, "..."] | None:
    """Return the pairs that are meant to be visible; None if nothing is hidden.

    Args:
        mask: True = may attend; of the rank of the scores.
        bias: Added to the scores; large negative numbers stand for a mask.
    """
    return combine_masks(mask, None if bias is None else bias > MASKING_BIAS)


def hide_unseen(visible: Bool[Array, "..."], *arrays: jax.Array) -> tuple[jax.Array, ...]:
    """Set to zero the tokens to which no query may attend, so that their values cannot matter.

    Zero times NaN is NaN: otherwise one NaN in the padding would reach every context, and through
    the scores every gradient.

    Args:
        visible: True for tokens that some query may attend to; its axes are the first ones of the
            arrays, with ones allowed.
        *arrays: Keys and values.
    """
    trailing = [tuple(range(visible.ndim, array.ndim)) for array in arrays]
    return tuple(
        jnp.where(jnp.expand_dims(visible, axes), array, 0)
        for array, axes in zip(arrays, trailing, strict=True)
    )


def add_bias(scores: Real[Array, "*s"], bias: Real[Array, "..."] | None) -> Float[Array, "*s"]:
    """Add a bias to the scores; minus infinity hides a key.

    Raises:
        ValueError: If the bias does not fit the scores.
    """
    if bias is None:
        return scores
    (scores,) = as_float(scores)
    bias = align_to_scores("bias", bias, scores.shape)
    bias = jnp.broadcast_to(bias, scores.shape).astype(scores.dtype)
    # Minus infinity and NaN would be NaN, but what is hidden has no effect.
    return jnp.where(bias == -jnp.inf, bias, scores + bias)


def weigh(weights: Real[Array, "*b q k"], value: Real[Array, "*b k d"]) -> Float[Array, "*b q d"]:
    r"""Sum the values, each times its weight: :math:`c_i = \sum_j w_{ij} v_j`.

    Sums are in float32 at least; the context has the type of the values, float32 for integers.

    Raises:
        ValueError: If the numbers of weights and values differ.

    Example:
        >>> weigh(jnp.array([[0.25, 0.75]]), jnp.array([[4.0], [8.0]])).tolist()
        [[7.0]]
    """
    if weights.shape[-1] != value.shape[-2]:
        raise ValueError(
            f"weights of shape {weights.shape} are over {weights.shape[-1]} keys but value of "
            f"shape {value.shape} has {value.shape[-2]}."
        )
    (value,) = as_float(value)
    context = jnp.einsum(
        "...qk,...kd->...qd",
        weights.astype(value.dtype),
        value,
        preferred_element_type=jnp.promote_types(value.dtype, jnp.float32),
    )
    return context.astype(value.dtype)


def attend(
    scores: Real[Array, "*b q k"],
    value: Real[Array, "*b k d"],
    *,
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b q d"], Float[Array, "*b q k"]]:
    """Add the bias, normalize under the mask, and weigh the values.

    Args:
        scores: `(*b, q, k)`.
        value: `(*b, k, d)`.
        mask: True = may attend; `(*b, q, k)` with ones allowed, `(q, k)` or `(k,)`.
        bias: Added to the scores, of the same shapes.
        key_mask: `(*b, k)`; True = the key exists.
        normalizer: Maps scores to weights.

    Returns:
        The context `(*b, q, d)` and the weights `(*b, q, k)`.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.

    Example:
        >>> context, weights = attend(jnp.zeros((1, 2)), jnp.array([[1.0], [3.0]]))
        >>> context.tolist(), weights.tolist()
        ([[2.0]], [[0.5, 0.5]])
    """
    (scores,) = as_float(scores)
    mask, bias = _aligned(mask, bias, key_mask, None, scores.shape, scores.ndim - 2)
    visible = visible_pairs(mask, bias)
    if visible is not None:
        (value,) = hide_unseen(visible.any(axis=-2), value)
    weights = normalizer(add_bias(scores, bias), mask=mask)
    return weigh(weights, value), weights
