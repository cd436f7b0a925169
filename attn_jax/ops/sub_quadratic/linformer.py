"""Linformer (Wang 2020): keys and values projected along the sequence to a fixed length."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.scores.dot_product import scaled_dot_product_scores
from attn_jax.ops.shapes import check_axes, check_features
from attn_jax.ops.stages import weigh
from attn_jax.ops.sub_quadratic.implied_weights import observable, prepare_tokens
from attn_jax.renames import renamed_arguments


@renamed_arguments(mask="key_mask")
def linformer_attention(
    query: Real[Array, "*b q d"],
    key: Real[Array, "*b k d"],
    value: Real[Array, "*b k e"],
    *,
    w_key: Real[Array, "k p"],
    w_value: Real[Array, "k p"],
    scale: float | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> Float[Array, "*b q e"]:
    r"""Attend to a fixed number p of combinations of the keys.

    .. math:: C = \operatorname{softmax}\!\left(\frac{Q (E^\top K)^\top}{\sqrt{d}}\right) F^\top V

    :math:`E` is `w_key` and :math:`F` is `w_value`, each `(k, p)`. It has the hook points `query,
    key, value, weights, context`; the weights are computed only if they are captured or edited.

    Args:
        query: `(*b, q, d)`; heads are a batch axis.
        key: `(*b, k, d)`.
        value: `(*b, k, e)`.
        w_key: Combines the keys.
        w_value: Combines the values.
        scale: Factor of the inner product; :math:`1/\sqrt{d}` if None.
        key_mask: `(*b, k)`; True = the key exists. Other keys do not enter the combinations.
        normalizer: Maps the scores of the combinations to weights.

    Returns:
        The context alone; :func:`linformer_weights` returns the weights.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.

    Example:
        >>> x = jnp.ones((5, 3))
        >>> w = jnp.full((5, 2), 1 / 5)
        >>> linformer_attention(x, x, x, w_key=w, w_value=w).round(5)[0].tolist()
        [1.0, 1.0, 1.0]

    References:
        Wang et al., "Linformer: Self-Attention with Linear Complexity", 2020, section 4.
        https://arxiv.org/abs/2006.04768
    """
    query, key, value, key_mask = prepare_tokens(query, key, value, key_mask)
    check_axes(w_key=(w_key, "k p"), w_value=(w_value, "k p"))
    combined = _combined_weights(query, key, w_key, scale, normalizer)
    check_features("value (its tokens)", value.shape[-2], "w_value", w_value.shape[-2])
    check_features("w_value", w_value.shape[-1], "w_key", w_key.shape[-1])
    # Hooks keep the parameters for later, where `vmap` needs batch axes on every operand.
    batch = query.shape[:-2]
    parameters = {
        "w_key": jnp.broadcast_to(w_key, (*batch, *w_key.shape)),
        "w_value": jnp.broadcast_to(w_value, (*batch, *w_value.shape)),
    }
    return observable(
        weigh(combined, _combine(w_value, value)),
        _weights,
        {"query": query, "key": key, "value": value, "key_mask": key_mask} | parameters,
        scale=scale,
        normalizer=normalizer,
    )


@renamed_arguments(mask="key_mask")
def linformer_weights(
    query: Real[Array, "*b q d"],
    key: Real[Array, "*b k d"],
    *,
    w_key: Real[Array, "k p"],
    w_value: Real[Array, "k p"],
    scale: float | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> Float[Array, "*b q k"]:
    r"""Return the weights that :func:`linformer_attention` implies, at quadratic cost.

    .. math:: W = \operatorname{softmax}\!\left(\frac{Q (E^\top K)^\top}{\sqrt{d}}\right) F^\top

    Rows need not sum to one, and weights may be negative where :math:`F` is.

    Args:
        query: `(*b, q, d)`.
        key: `(*b, k, d)`.
        w_key: Combines the keys.
        w_value: Combines the values.
        scale: Factor of the inner product; :math:`1/\sqrt{d}` if None.
        key_mask: `(*b, k)`; True = the key exists.
        normalizer: Maps the scores of the combinations to weights.

    Returns:
        `(*b, q, k)`, in float32 at least.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.

    Example:
        >>> w = jnp.full((4, 2), 1 / 4)
        >>> linformer_weights(jnp.ones((1, 3)), jnp.ones((4, 3)), w_key=w, w_value=w).tolist()
        [[0.25, 0.25, 0.25, 0.25]]
    """
    query, key, _, key_mask = prepare_tokens(query, key, key, key_mask)
    check_axes(w_key=(w_key, "k p"), w_value=(w_value, "k p"))
    check_features("key (its tokens)", key.shape[-2], "w_value", w_value.shape[-2])
    check_features("w_value", w_value.shape[-1], "w_key", w_key.shape[-1])
    return _weights(query, key, w_key, w_value, key_mask, scale=scale, normalizer=normalizer)


def _weights(
    query: jax.Array,
    key: jax.Array,
    w_key: jax.Array,
    w_value: jax.Array,
    key_mask: jax.Array | None = None,
    *,
    scale: float | None,
    normalizer: Normalizer,
) -> jax.Array:
    combined = _combined_weights(query, key, w_key, scale, normalizer)
    weights = jnp.einsum("...qp,...kp->...qk", combined, w_value.astype(combined.dtype))
    return weights if key_mask is None else jnp.where(key_mask[..., None, :], weights, 0)


def _combined_weights(
    query: jax.Array,
    key: jax.Array,
    w_key: jax.Array,
    scale: float | None,
    normalizer: Normalizer,
) -> jax.Array:
    """Return the weights of the combinations, `(*b, q, p)`."""
    check_features("key (its tokens)", key.shape[-2], "w_key", w_key.shape[-2])
    return normalizer(scaled_dot_product_scores(query, _combine(w_key, key), scale=scale))


def _combine(w: jax.Array, x: jax.Array) -> jax.Array:
    """Combine tokens, `(*b, k, d)`, to `(*b, p, d)`."""
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    combined = jnp.einsum("...kp,...kd->...pd", w.astype(x.dtype), x, preferred_element_type=dtype)
    return combined.astype(x.dtype)
