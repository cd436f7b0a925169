"""Attentions that score by a small network of query and key, as Flax modules."""

import itertools
from collections.abc import Callable

import jax
from flax import linen as nn
from jaxtyping import Array, Float

from attn_jax import ops
from attn_jax.nn.attention import Attention

ZEROS = nn.initializers.zeros


class AdditiveAttention(Attention):
    """Attention by one hidden layer: :func:`attn_jax.ops.additive_attention`.

    Parameters: `w_query (d_q, a)` and `v (a,)`; with `project_key` `w_key (d_k, a)`, and with
    `use_bias` `b (a,)`.

    Attributes:
        hidden_dim: a, the hidden units; the number of the key's features if None.
        use_bias: Whether the hidden layer has a bias.
        block_size: The number of queries to score at once, all if None. With blocks, the hidden
            layer of all pairs is never in memory, forward or backward.
        project_key: Whether the module projects keys. A decoder that attends to the same keys at
            each step projects them once, to the features of the hidden layer.

    Example:
        >>> x = jnp.ones((2, 5, 3))
        >>> model = AdditiveAttention(hidden_dim=7)
        >>> variables = model.init(jax.random.key(0), x, x, x)
        >>> model.apply(variables, x, x, x).shape
        (2, 5, 3)
    """

    hidden_dim: int | None = None
    use_bias: bool = False
    block_size: int | None = None
    project_key: bool = True

    def scores(
        self, query: Float[Array, "*b q d_q"], key: Float[Array, "*b k d_k"]
    ) -> Float[Array, "*b q k"]:
        """Score by one hidden layer."""
        hidden_dim = self.hidden_dim or key.shape[-1]
        w_query, w_key = self.parameter("w_query", (query.shape[-1], hidden_dim), query), None
        if self.project_key:
            w_key = self.parameter("w_key", (key.shape[-1], hidden_dim), key)
        return ops.additive_scores(
            query,
            key,
            w_query=w_query,
            w_key=w_key,
            v=self.parameter("v", (hidden_dim,), query),
            b=self.parameter("b", (hidden_dim,), query, ZEROS) if self.use_bias else None,
            block_size=self.block_size,
        )


class ConcatAttention(Attention):
    """Attention by one layer on the joined vectors: :func:`attn_jax.ops.concat_attention`.

    Parameters: `w (d_q + d_k, a)` and `v (a,)`.

    Attributes:
        hidden_dim: a, the hidden units; the number of the key's features if None.

    Example:
        >>> x = jnp.ones((2, 5, 3))
        >>> model = ConcatAttention(hidden_dim=7)
        >>> variables = model.init(jax.random.key(0), x, x, x)
        >>> model.apply(variables, x, x, x).shape
        (2, 5, 3)
    """

    hidden_dim: int | None = None

    def scores(
        self, query: Float[Array, "*b q d_q"], key: Float[Array, "*b k d_k"]
    ) -> Float[Array, "*b q k"]:
        """Score by one layer on the joined vectors."""
        hidden_dim = self.hidden_dim or key.shape[-1]
        w = self.parameter("w", (query.shape[-1] + key.shape[-1], hidden_dim), query)
        return ops.concat_scores(query, key, w=w, v=self.parameter("v", (hidden_dim,), query))


class FeedForwardAttention(Attention):
    """Attention by a network of any depth: :func:`attn_jax.ops.feed_forward_attention`.

    Parameters: `kernel_i` and `bias_i` of each layer; the last one returns the score.

    Attributes:
        hidden_dims: The widths of the hidden layers; one layer as wide as the key if None.
        activation: The function between the layers.

    Example:
        >>> x = jnp.ones((2, 5, 3))
        >>> model = FeedForwardAttention(hidden_dims=(7, 11))
        >>> variables = model.init(jax.random.key(0), x, x, x)
        >>> model.apply(variables, x, x, x).shape
        (2, 5, 3)
    """

    hidden_dims: tuple[int, ...] | None = None
    activation: Callable[[jax.Array], jax.Array] = jax.nn.relu

    def scores(
        self, query: Float[Array, "*b q d_q"], key: Float[Array, "*b k d_k"]
    ) -> Float[Array, "*b q k"]:
        """Score by a multi-layer perceptron."""
        hidden = (key.shape[-1],) if self.hidden_dims is None else self.hidden_dims
        widths = (query.shape[-1] + key.shape[-1], *hidden, 1)
        layers = [
            (
                self.parameter(f"kernel_{i}", (d_in, d_out), query),
                self.parameter(f"bias_{i}", (d_out,), query, ZEROS),
            )
            for i, (d_in, d_out) in enumerate(itertools.pairwise(widths))
        ]
        return ops.feed_forward_scores(query, key, layers=layers, activation=self.activation)
