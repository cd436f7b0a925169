"""Feed-forward attention: a network of any depth scores the joined query and key."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.scores.additive import pairwise_hidden
from attn_jax.ops.stages import attend, prepare

Layers = Sequence[tuple[Float[Array, "_d_in _d_out"], Float[Array, " _d_out"]]]


def _check_layers(layers: Layers, num_features: int) -> None:
    """Check that the layers connect the joined features to one score."""
    if not layers:
        raise ValueError("layers is empty; give at least one (kernel, bias).")
    expected = num_features
    for index, (kernel, bias) in enumerate(layers):
        if kernel.shape[0] != expected:
            raise ValueError(
                f"layers[{index}] takes {kernel.shape[0]} features but gets {expected}"
                + (" (query and key joined)." if index == 0 else f" from layers[{index - 1}].")
            )
        if bias.shape != kernel.shape[1:]:
            raise ValueError(
                f"layers[{index}] has a kernel of shape {kernel.shape} and a bias of shape "
                f"{bias.shape}; the bias must be {kernel.shape[1:]}."
            )
        expected = kernel.shape[1]
    if expected != 1:
        raise ValueError(
            f"the last layer returns {expected} numbers per pair but must return 1, the score."
        )


def feed_forward_scores(
    query: Real[Array, "*b q d_q"],
    key: Real[Array, "*b k d_k"],
    *,
    layers: Layers,
    activation: Callable[[jax.Array], jax.Array] = jax.nn.relu,
) -> Float[Array, "*b q k"]:
    r"""Score by a multi-layer perceptron on the joined query and key.

    .. math:: s_{ij} = W_n\, \phi(\cdots \phi(W_1 [q_i; k_j] + b_1) \cdots) + b_n

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        layers: `(kernel, bias)` of each layer; the first takes `d_q + d_k` features, those of the
            query first, and the last returns one.
        activation: :math:`\phi`, applied between layers.

    Returns:
        Scores in float32 at least.

    Raises:
        ValueError: If the layers do not fit the inputs or one another.

    Example:
        >>> layers = [(jnp.array([[1.0], [10.0]]), jnp.array([0.5]))]
        >>> feed_forward_scores(jnp.array([[2.0]]), jnp.array([[3.0]]), layers=layers).tolist()
        [[32.5]]
    """
    _check_layers(layers, query.shape[-1] + key.shape[-1])
    (kernel, bias), *rest = layers
    w_query, w_key = jnp.split(kernel, [query.shape[-1]])
    hidden = pairwise_hidden(query, key, w_query, w_key, bias)
    for kernel, bias in rest:
        hidden = activation(hidden) @ kernel + bias.reshape((1,) * (hidden.ndim - 1) + bias.shape)
    return hidden[..., 0].astype(jnp.promote_types(hidden.dtype, jnp.float32))


def feed_forward_attention(
    query: Real[Array, "*b q d_q"],
    key: Real[Array, "*b k d_k"],
    value: Real[Array, "*b k d_v"],
    *,
    layers: Layers,
    activation: Callable[[jax.Array], jax.Array] = jax.nn.relu,
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b q d_v"], Float[Array, "*b q k"]]:
    r"""Attend by a multi-layer perceptron that scores each pair of query and key.

    With one hidden layer, `jnp.tanh` and no last bias, it is additive attention.

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        value: `(*b, k, d_v)`.
        layers: `(kernel, bias)` of each layer; the first takes `d_q + d_k` features, those of the
            query first, and the last returns one.
        activation: Applied between layers.
        mask: True = may attend; `(*b, q, k)` with ones allowed, `(q, k)` or `(k,)`.
        bias: Added to the scores, of the same shapes.
        key_mask: `(*b, k)`; True = the key exists.
        normalizer: Maps scores to weights.

    Returns:
        The context `(*b, q, d_v)` and the weights `(*b, q, k)`.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.

    Example:
        >>> layers = [(jnp.ones((5, 7)), jnp.ones(7)), (jnp.ones((7, 1)), jnp.ones(1))]
        >>> key = jnp.ones((4, 3))
        >>> context, weights = feed_forward_attention(jnp.ones((1, 2)), key, key, layers=layers)
        >>> weights.tolist()
        [[0.25, 0.25, 0.25, 0.25]]

    References:
        The "alignment model" of Bahdanau, Cho and Bengio, 2015, section 3.1, with any depth.
        https://arxiv.org/abs/1409.0473
    """
    query, key, value, mask, bias = prepare(
        query, key, value, mask=mask, bias=bias, key_mask=key_mask
    )
    scores = feed_forward_scores(query, key, layers=layers, activation=activation)
    return attend(scores, value, mask=mask, bias=bias, normalizer=normalizer)
