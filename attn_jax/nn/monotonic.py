"""Monotonic attentions, which move from left to right, as Flax modules."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Real

from attn_jax import ops
from attn_jax.nn.attention import Attention, SingleHead
from attn_jax.ops.alignment.monotonic import continue_from
from attn_jax.renames import renamed_arguments

ZEROS = nn.initializers.zeros


def additive_parameters(
    module: SingleHead, query: jax.Array, key: jax.Array, name: str = ""
) -> dict:
    """Create the parameters of an additive score in a module, with a prefix to their names."""
    hidden_dim = getattr(module, "hidden_dim", None) or key.shape[-1]
    return {
        "w_query": module.parameter(f"{name}w_query", (query.shape[-1], hidden_dim), query),
        "w_key": module.parameter(f"{name}w_key", (key.shape[-1], hidden_dim), key),
        "v": module.parameter(f"{name}v", (hidden_dim,), query),
        "b": module.parameter(f"{name}b", (hidden_dim,), query, ZEROS),
    }


def reader_scores(
    module: SingleHead, query: jax.Array, key: jax.Array, *, start: float, noise: float
) -> jax.Array:
    """Return the scores of a monotonic reader, with noise if any.

    Noise in training drives the probabilities of stopping to zero or one, as decoding needs them.
    """
    parameters = additive_parameters(module, query, key)
    gain = nn.initializers.constant(parameters["v"].shape[0] ** -0.5)
    scores = ops.monotonic_scores(
        query,
        key,
        **parameters,
        gain=module.param("gain", gain, (), jnp.float32),
        offset=module.param("offset", nn.initializers.constant(start), (), jnp.float32),
    )
    if not noise:
        return scores
    return scores + noise * jax.random.normal(module.make_rng("noise"), scores.shape)


class MonotonicAttention(SingleHead):
    """Attention from left to right: :func:`attn_jax.ops.monotonic_attention`.

    Parameters: `w_query (d_q, a)`, `w_key (d_k, a)`, `v (a,)`, `b (a,)`, `gain` and `offset`. After
    training, `model.clone(normalizer=ops.hard_monotonic)` takes the same parameters and decodes in
    linear time.

    Attributes:
        hidden_dim: a, the hidden units; the number of the key's features if None.
        offset: The initial value of the learned offset; if negative, a reader passes most keys at
            first.
        noise: The standard deviation of the noise added to the scores in training.

    Example:
        >>> query, key = jnp.ones((2, 1, 3)), jnp.ones((2, 5, 4))
        >>> model = MonotonicAttention()
        >>> variables = model.init(jax.random.key(0), query, key, key)
        >>> context, weights = model.apply(variables, query, key, key)
        >>> context, weights = model.apply(variables, query, key, key, state=weights[:, -1])
        >>> context.shape, weights.shape
        ((2, 1, 4), (2, 1, 5))
    """

    normalizer: ops.Normalizer = ops.soft_monotonic
    hidden_dim: int | None = None
    offset: float = 0.0
    noise: float = 1.0

    needs_history: ClassVar[bool] = True

    @nn.compact
    @renamed_arguments(previous_weights="state")
    def __call__(
        self,
        query: Real[Array, "*b q d_q"],
        key: Real[Array, "*b k d_k"],
        value: Real[Array, "*b k d_v"],
        *,
        state: Float[Array, "*b k"] | None = None,
        mask: Bool[Array, "..."] | None = None,
        bias: Real[Array, "..."] | None = None,
        key_mask: Bool[Array, "..."] | None = None,
        deterministic: bool = True,
    ) -> tuple[Float[Array, "*b q d_v"], Float[Array, "*b q k"]]:
        """Attend.

        Args:
            query: `(*b, q, d_q)`, in order.
            key: `(*b, k, d_k)`, in order.
            value: `(*b, k, d_v)`.
            state: The weights of the previous query, `(*b, k)`; one at the first key if None.
            mask: True = may attend; `(*b, q, k)` with ones allowed, `(q, k)` or `(k,)`.
            bias: Added to the scores, of the same shapes.
            key_mask: `(*b, k)`; True = the key exists.
            deterministic: Turns noise and dropout off; where they are on, give
                `rngs={"noise": rng, "dropout": rng}`.

        Returns:
            The context `(*b, q, d_v)` and the weights; those of the last query are the next state.
        """
        inputs = self.prepare(query, key, value, mask=mask, bias=bias, key_mask=key_mask)
        noise = 0.0 if deterministic else self.noise
        return self.attend(
            inputs,
            score=lambda q, k: reader_scores(self, q, k, start=self.offset, noise=noise),
            normalizer=continue_from(self.normalizer, state),
            deterministic=deterministic,
        )


class MochaAttention(Attention):
    """Attention to a chunk where a monotonic reader stops: :func:`attn_jax.ops.mocha_attention`.

    Parameters: those of :class:`MonotonicAttention`, and `chunk_w_query`, `chunk_w_key`, `chunk_v`
    and `chunk_b`. The module takes all queries at once; to decode step by step, call the stages in
    `ops`, as :func:`attn_jax.ops.mocha_attention` explains.

    Attributes:
        width: The number of keys in a chunk.
        hidden_dim: a, the hidden units of both scores; the number of the key's features if None.
        offset: The initial value of the reader's learned offset.
        noise: The standard deviation of the noise added to the reader's scores in training.

    Example:
        >>> query, key = jnp.ones((2, 3, 3)), jnp.ones((2, 5, 4))
        >>> model = MochaAttention(width=2)
        >>> variables = model.init(jax.random.key(0), query, key, key)
        >>> model.apply(variables, query, key, key).shape
        (2, 3, 4)
    """

    normalizer: ops.Normalizer = ops.soft_monotonic
    width: int = 4
    hidden_dim: int | None = None
    offset: float = 0.0
    noise: float = 1.0

    needs_history: ClassVar[bool] = True

    @nn.compact
    def __call__(
        self,
        query: Real[Array, "*b q d_q"],
        key: Real[Array, "*b k d_k"],
        value: Real[Array, "*b k d_v"],
        *,
        mask: Bool[Array, "..."] | None = None,
        bias: Real[Array, "..."] | None = None,
        key_mask: Bool[Array, "..."] | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "*b q d_v"]:
        """Attend as :class:`Attention` does; noise needs `rngs={"noise": rng}`."""
        inputs = self.prepare(query, key, value, mask=mask, bias=bias, key_mask=key_mask)
        noise = 0.0 if deterministic else self.noise
        chunk_scores = []

        def score(query: jax.Array, key: jax.Array) -> jax.Array:
            chunk_scores.append(
                ops.additive_scores(query, key, **additive_parameters(self, query, key, "chunk_"))
            )
            return reader_scores(self, query, key, start=self.offset, noise=noise)

        def spread(scores: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
            visible = ops.combine_masks(mask, scores > -jnp.inf)
            alignment = self.normalizer(scores, mask=mask)
            return ops.chunkwise_weights(alignment, chunk_scores[0], self.width, mask=visible)

        context, _ = self.attend(
            inputs,
            score=score,
            normalizer=spread,
            deterministic=deterministic,
        )
        return context
