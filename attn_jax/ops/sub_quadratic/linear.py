"""Linear attention (Katharopoulos 2020), with a feature map in place of the exponential."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.shapes import check_features
from attn_jax.ops.stages import hide_unseen
from attn_jax.ops.sub_quadratic.feature_maps import check_causal, feature_context, feature_weights
from attn_jax.ops.sub_quadratic.implied_weights import observable, prepare_tokens
from attn_jax.renames import renamed_arguments

FeatureMap = Callable[[jax.Array], jax.Array]


def elu_plus_one(x: Real[Array, "*s"]) -> Float[Array, "*s"]:
    r"""Map to positive features: :math:`\phi(x) = \operatorname{elu}(x) + 1`.

    Example:
        >>> elu_plus_one(jnp.array([0.0, 2.0])).tolist()
        [1.0, 3.0]
    """
    return jax.nn.elu(x) + 1


@renamed_arguments(mask="key_mask")
def linear_attention(
    query: Real[Array, "*b q d"],
    key: Real[Array, "*b k d"],
    value: Real[Array, "*b k e"],
    *,
    feature_map: FeatureMap = elu_plus_one,
    key_mask: Bool[Array, "..."] | None = None,
    causal: bool = False,
) -> Float[Array, "*b q e"]:
    r"""Attend in time and memory linear in the number of tokens.

    .. math:: c_i = \frac{\phi(q_i)^\top \sum_j \phi(k_j) v_j^\top}{\phi(q_i)^\top \sum_j \phi(k_j)}

    The sums run over all keys, or with `causal` over those up to the query, block by block. It has
    the hook points `query, key, value, weights, context`; the weights are computed only if they are
    captured or edited.

    Args:
        query: `(*b, q, d)`; heads are a batch axis.
        key: `(*b, k, d)`.
        value: `(*b, k, e)`.
        feature_map: :math:`\phi`, which maps the last axis to features that are not negative.
        key_mask: `(*b, k)`; True = the key exists.
        causal: Let each query see only the keys up to its own position.

    Returns:
        The context alone; :func:`linear_weights` returns the weights. A query whose denominator is
        zero gets zeros.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.

    Example:
        >>> x = jnp.ones((5, 3))
        >>> linear_attention(x, x, x, causal=True).shape
        (5, 3)

    References:
        Katharopoulos et al., "Transformers are RNNs: Fast Autoregressive Transformers with Linear
        Attention", 2020, section 3. https://arxiv.org/abs/2006.16236
    """
    query, key, value, key_mask = prepare_tokens(query, key, value, key_mask)
    features = _features(query, key, key_mask, feature_map, causal)
    return observable(
        feature_context(*features, value, causal=causal),
        linear_weights,
        {"query": query, "key": key, "value": value, "key_mask": key_mask},
        feature_map=feature_map,
        causal=causal,
    )


@renamed_arguments(mask="key_mask")
def linear_weights(
    query: Real[Array, "*b q d"],
    key: Real[Array, "*b k d"],
    *,
    feature_map: FeatureMap = elu_plus_one,
    key_mask: Bool[Array, "..."] | None = None,
    causal: bool = False,
) -> Float[Array, "*b q k"]:
    r"""Return the weights that :func:`linear_attention` implies, at quadratic cost.

    .. math:: w_{ij} = \frac{\phi(q_i) \cdot \phi(k_j)}{\sum_l \phi(q_i) \cdot \phi(k_l)}

    Args:
        query: `(*b, q, d)`.
        key: `(*b, k, d)`.
        feature_map: :math:`\phi`.
        key_mask: `(*b, k)`; True = the key exists.
        causal: Let each query see only the keys up to its own position.

    Returns:
        `(*b, q, k)`, in float32 at least.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.

    Example:
        >>> linear_weights(jnp.ones((1, 3)), jnp.ones((4, 3))).tolist()
        [[0.25, 0.25, 0.25, 0.25]]
    """
    query, key, _, key_mask = prepare_tokens(query, key, key, key_mask)
    return feature_weights(*_features(query, key, key_mask, feature_map, causal), causal=causal)


def _features(
    query: jax.Array,
    key: jax.Array,
    key_mask: jax.Array | None,
    feature_map: FeatureMap,
    causal: bool,
) -> tuple[jax.Array, jax.Array]:
    """Return the features of queries and keys, in float32 at least."""
    check_features("key", key.shape[-1], "query", query.shape[-1])
    check_causal(causal, query, key)
    dtype = jnp.promote_types(query.dtype, jnp.float32)
    query_features = feature_map(query.astype(dtype))
    key_features = feature_map(key.astype(dtype))
    if key_mask is not None:
        # A key of zeros still has features (elu + 1 gives one), so hidden keys are cleared again.
        (key_features,) = hide_unseen(key_mask, key_features)
    return query_features, key_features
