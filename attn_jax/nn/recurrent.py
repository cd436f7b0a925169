"""Attentions that pass a state from step to step, as Flax modules.

They return `(context, state)`, and take the `state` of the previous step.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Real

from attn_jax import ops
from attn_jax.nn.attention import SingleHead
from attn_jax.renames import renamed_arguments

ZEROS = nn.initializers.zeros


class LocationSensitiveAttention(SingleHead):
    """Attention by content and previous weights: :func:`attn_jax.ops.location_sensitive_attention`.

    Parameters: `w_query (d_q, a)`, `w_key (d_k, a)`, `w_location (c, a)`, `filters (r, c)`,
    `v (a,)` and `b (a,)`.

    Attributes:
        hidden_dim: a, the hidden units; the number of the key's features if None.
        num_filters: c, the filters over the previous weights.
        filter_width: r, the number of keys that a filter spans.

    Example:
        >>> query, key = jnp.ones((2, 1, 3)), jnp.ones((2, 5, 4))
        >>> model = LocationSensitiveAttention()
        >>> variables = model.init(jax.random.key(0), query, key, key)
        >>> context, weights = model.apply(variables, query, key, key)
        >>> context, weights = model.apply(variables, query, key, key, state=weights)
        >>> context.shape, weights.shape
        ((2, 1, 4), (2, 1, 5))
    """

    hidden_dim: int | None = None
    num_filters: int = 10
    filter_width: int = 31

    needs_history: ClassVar[bool] = True

    @nn.compact
    @renamed_arguments(previous_weights="state")
    def __call__(
        self,
        query: Real[Array, "*b q d_q"],
        key: Real[Array, "*b k d_k"],
        value: Real[Array, "*b k d_v"],
        *,
        state: Float[Array, "*b q k"] | None = None,
        mask: Bool[Array, "..."] | None = None,
        bias: Real[Array, "..."] | None = None,
        key_mask: Bool[Array, "..."] | None = None,
        deterministic: bool = True,
    ) -> tuple[Float[Array, "*b q d_v"], Float[Array, "*b q k"]]:
        """Attend.

        Args:
            query: `(*b, q, d_q)`.
            key: `(*b, k, d_k)`.
            value: `(*b, k, d_v)`.
            state: The weights of the previous step; zeros if None.
            mask: True = may attend; `(*b, q, k)` with ones allowed, `(q, k)` or `(k,)`.
            bias: Added to the scores, of the same shapes.
            key_mask: `(*b, k)`; True = the key exists.
            deterministic: Turns dropout off; where it is on, give `rngs={"dropout": rng}`.

        Returns:
            The context `(*b, q, d_v)` and the weights, which are the next state.
        """
        inputs = self.prepare(query, key, value, mask=mask, bias=bias, key_mask=key_mask)
        if state is None:
            state = jnp.zeros((*query.shape[:-1], key.shape[-2]))

        def score(query: jax.Array, key: jax.Array) -> jax.Array:
            hidden_dim = self.hidden_dim or key.shape[-1]
            filters = (self.filter_width, self.num_filters)
            return ops.location_sensitive_scores(
                query,
                key,
                state=state,
                w_query=self.parameter("w_query", (query.shape[-1], hidden_dim), query),
                w_key=self.parameter("w_key", (key.shape[-1], hidden_dim), key),
                w_location=self.parameter("w_location", (self.num_filters, hidden_dim), query),
                filters=self.parameter("filters", filters, query),
                v=self.parameter("v", (hidden_dim,), query),
                b=self.parameter("b", (hidden_dim,), query, ZEROS),
            )

        return self.attend(
            inputs,
            score=score,
            normalizer=self.normalizer,
            deterministic=deterministic,
        )


class GaussianMixtureAttention(SingleHead):
    """Attention through moving windows: :func:`attn_jax.ops.gaussian_mixture_attention`.

    Parameters: `w (d_q, 3 m)` and `b (3 m,)`.

    Attributes:
        num_windows: The number of windows, m.

    Example:
        >>> query, key = jnp.ones((2, 1, 3)), jnp.ones((2, 5, 4))
        >>> model = GaussianMixtureAttention()
        >>> variables = model.init(jax.random.key(0), query, key, key)
        >>> context, position = model.apply(variables, query, key, key)
        >>> context, position = model.apply(variables, query, key, key, state=position)
        >>> context.shape, position.shape
        ((2, 1, 4), (2, 10))
    """

    normalizer: ops.Normalizer = ops.exponential
    num_windows: int = 10

    needs_history: ClassVar[bool] = True

    @nn.compact
    @renamed_arguments(previous_position="state")
    def __call__(
        self,
        query: Real[Array, "*b q d_q"],
        key: Real[Array, "*b k d_k"],
        value: Real[Array, "*b k d_v"],
        *,
        state: Float[Array, "*b m"] | None = None,
        mask: Bool[Array, "..."] | None = None,
        bias: Real[Array, "..."] | None = None,
        key_mask: Bool[Array, "..."] | None = None,
        deterministic: bool = True,
    ) -> tuple[Float[Array, "*b q d_v"], Float[Array, "*b m"]]:
        """Attend.

        Args:
            query: `(*b, q, d_q)`, in order.
            key: `(*b, k, d_k)`.
            value: `(*b, k, d_v)`.
            state: The positions of the windows before the first query; zeros if None.
            mask: True = may attend; `(*b, q, k)` with ones allowed, `(q, k)` or `(k,)`.
            bias: Added to the scores, of the same shapes.
            key_mask: `(*b, k)`; True = the key exists.
            deterministic: Turns dropout off; where it is on, give `rngs={"dropout": rng}`.

        Returns:
            The context `(*b, q, d_v)`, and the windows' positions after the last query.
        """
        inputs = self.prepare(query, key, value, mask=mask, bias=bias, key_mask=key_mask)
        query = inputs.query
        mixture = ops.gaussian_mixture(
            query,
            w=self.parameter("w", (query.shape[-1], 3 * self.num_windows), query),
            b=self.parameter("b", (3 * self.num_windows,), query, ZEROS),
            state=state,
        )
        context, _ = self.attend(
            inputs,
            score=lambda query, key: ops.gaussian_mixture_scores(mixture, key.shape[-2]),
            normalizer=self.normalizer,
            deterministic=deterministic,
        )
        if query.shape[-2]:
            return context, mixture.position[..., -1, :]
        # Without a query the windows do not move.
        start = jnp.zeros((*query.shape[:-2], self.num_windows), mixture.position.dtype)
        return context, start if state is None else state
