"""Co-attention (Lu 2016, Xiong 2017): two modalities that attend to each other."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.masks import align_to_tokens
from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.shapes import check_features
from attn_jax.ops.stages import (
    Inputs,
    add_bias,
    hide_unseen,
    prepare,
    visible_pairs,
    weigh,
)


def co_attention_scores(
    first: Real[Array, "*b m d_1"],
    second: Real[Array, "*b n d_2"],
    *,
    w: Real[Array, "d_1 d_2"],
) -> Float[Array, "*b m n"]:
    r"""Return the affinity of each pair of tokens: :math:`A_{ij} = x_i^\top W y_j`.

    Args:
        first: :math:`x`.
        second: :math:`y`.
        w: :math:`W`.

    Returns:
        Scores in float32 at least.

    Raises:
        ValueError: If the features do not fit `w`.

    Example:
        >>> w = jnp.array([[2.0, 0.0, 1.0]])
        >>> co_attention_scores(jnp.array([[3.0]]), jnp.array([[1.0, 5.0, 4.0]]), w=w).tolist()
        [[18.0]]
    """
    check_features("first", first.shape[-1], "w", w.shape[0])
    check_features("second", second.shape[-1], "w (its columns)", w.shape[1])
    dtype = jnp.promote_types(jnp.result_type(first, second), jnp.float32)
    return jnp.einsum("...md,...nd->...mn", first @ w, second, preferred_element_type=dtype)


def co_attention(
    first: Real[Array, "*b m d_1"],
    second: Real[Array, "*b n d_2"],
    *,
    w: Real[Array, "d_1 d_2"],
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    query_mask: Bool[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[
    tuple[Float[Array, "*b m d_2"], Float[Array, "*b m n"]],
    tuple[Float[Array, "*b n d_1"], Float[Array, "*b n m"]],
]:
    r"""Let each of two sequences attend to the other, by one affinity matrix.

    .. math:: A = X W Y^\top, \qquad C_X = \operatorname{softmax}(A)\, Y, \qquad
              C_Y = \operatorname{softmax}(A^\top)\, X

    The usual pair is the regions of an image and the words of a question. If each direction needs
    its own projections, call :func:`attn_jax.ops.multi_head_attention` once in each.

    Args:
        first: X, the tokens of one modality.
        second: Y, the tokens of the other.
        w: W, maps the features of one to those of the other.
        mask: True = may attend, both ways; `(*b, m, n)` with ones allowed, `(m, n)` or `(n,)`.
        bias: Added to the affinities, of the same shapes.
        query_mask: `(*b, m)`; True = the token of the first sequence exists.
        key_mask: `(*b, n)`; True = the token of the second sequence exists.
        normalizer: Maps scores to weights.

    Returns:
        For each sequence, its context from the other and the weights:
        `((*b, m, d_2), (*b, m, n))` and `((*b, n, d_1), (*b, n, m))`.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.

    Example:
        >>> image, text = jnp.ones((7, 3)), jnp.ones((5, 2))
        >>> (_, image_weights), (_, text_weights) = co_attention(image, text, w=jnp.ones((3, 2)))
        >>> image_weights.shape, text_weights.shape
        ((7, 5), (5, 7))

    References:
        Lu et al., "Hierarchical Question-Image Co-Attention for Visual Question Answering", 2016,
        section 3.3. https://arxiv.org/abs/1606.00061
        Xiong, Zhong and Socher, "Dynamic Coattention Networks for Question Answering", 2017,
        section 2.2. https://arxiv.org/abs/1611.01604
    """
    first, second, _, mask, bias = prepare_pair(
        first, second, mask=mask, bias=bias, query_mask=query_mask, key_mask=key_mask
    )
    scores = add_bias(co_attention_scores(first, second, w=w), bias)
    weights, back = co_attention_weights(scores, mask=mask, normalizer=normalizer)
    return (weigh(weights, second), weights), (weigh(back, first), back)


def co_attention_weights(
    scores: Real[Array, "*b m n"],
    *,
    mask: Bool[Array, "*b m n"] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b m n"], Float[Array, "*b n m"]]:
    """Normalize an affinity matrix over its rows, and over its columns.

    Args:
        scores: `(*b, m, n)`.
        mask: True = may attend, both ways; `(*b, m, n)`.
        normalizer: Maps scores to weights.

    Returns:
        The weights of the first sequence over the second, and of the second over the first.

    Example:
        >>> weights, back_weights = co_attention_weights(jnp.zeros((2, 4)))
        >>> weights[0].tolist(), back_weights[0].tolist()
        ([0.25, 0.25, 0.25, 0.25], [0.5, 0.5])
    """
    back = normalizer(jnp.swapaxes(scores, -1, -2), mask=_transposed(mask))
    return normalizer(scores, mask=mask), back


def prepare_pair(
    first: jax.Array,
    second: jax.Array,
    *,
    mask: jax.Array | None,
    bias: jax.Array | None,
    query_mask: jax.Array | None,
    key_mask: jax.Array | None,
) -> Inputs:
    """Check two sequences, and set to zero the tokens to which the other may not attend.

    Args:
        first: `(*b, m, d_1)`.
        second: `(*b, n, d_2)`.
        mask: True = may attend, both ways; `(*b, m, n)` with ones allowed, `(m, n)` or `(n,)`.
        bias: Added to the affinities, of the same shapes.
        query_mask: `(*b, m)`; True = the token of the first sequence exists.
        key_mask: `(*b, n)`; True = the token of the second sequence exists.

    Returns:
        The first sequence as query, the second as key, and mask and bias of the affinities' shape.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.
    """
    rows = None
    if query_mask is not None:
        rows = align_to_tokens("query_mask", query_mask, first.shape[:-1])[..., None]
    inputs = prepare(first, second, second, mask=mask, bias=bias, key_mask=key_mask, structure=rows)
    shape = (*first.shape[:-1], second.shape[-2])
    mask, bias = (None if x is None else jnp.broadcast_to(x, shape) for x in inputs[3:])
    visible = visible_pairs(mask, bias)
    query = inputs.query
    if visible is not None:
        (query,) = hide_unseen(visible.any(axis=-1), query)
    return Inputs(query, inputs.key, inputs.value, mask, bias)


def _transposed(x: jax.Array | None) -> jax.Array | None:
    return None if x is None else jnp.swapaxes(x, -1, -2)
