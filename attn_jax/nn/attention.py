"""What every attention module shares: where the hook points stand, and how weights are sown."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from attn_jax import ops
from attn_jax.hooks import tap
from attn_jax.ops.shapes import check_attention_inputs
from attn_jax.ops.stages import add_bias, hide_unseen

DType = Literal["float32", "bfloat16"]
Initializer = Callable[..., jax.Array]


def attend(
    module: nn.Module,
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    score: Callable[[jax.Array, jax.Array], jax.Array],
    weigh: Callable[[jax.Array, jax.Array], jax.Array] = ops.weigh,
    mask: jax.Array | None,
    bias: jax.Array | None,
    normalizer: ops.Normalizer,
    dropout: nn.Module,
) -> jax.Array:
    """Do as :func:`attend_with_weights`, and return the context alone."""
    stages = {"score": score, "weigh": weigh, "normalizer": normalizer, "dropout": dropout}
    return attend_with_weights(module, query, key, value, mask=mask, bias=bias, **stages)[0]


def attend_with_weights(
    module: nn.Module,
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    score: Callable[[jax.Array, jax.Array], jax.Array],
    weigh: Callable[[jax.Array, jax.Array], jax.Array] = ops.weigh,
    mask: jax.Array | None,
    bias: jax.Array | None,
    normalizer: ops.Normalizer,
    dropout: nn.Module,
) -> tuple[jax.Array, jax.Array]:
    """Score, add the bias, normalise under the mask and weigh, with a hook point at each stage.

    This is the one place where an unfused attention has its hook points. Dropout comes after them:
    what is captured is the distribution.

    Args:
        module: Whose `weights` these are.
        query: `(*b, q, ...)`.
        key: `(*b, k, ...)`.
        value: `(*b, k, ...)`.
        score: From query and key to scores.
        weigh: From weights and value to the context.
        mask: Broadcastable to the scores; True = may attend.
        bias: Broadcastable to the scores, added to them.
        normalizer: From scores to weights.
        dropout: Applied to the weights.

    Returns:
        The context, and the weights before dropout.
    """
    query, key, value = tap("query", query), tap("key", key), tap("value", value)
    scores = tap("scores", add_bias(score(query, key), bias))
    weights = tap("weights", normalizer(scores, mask=mask))
    module.sow("intermediates", "weights", weights)
    return tap("context", weigh(dropout(weights), value)), weights


class SingleHead(nn.Module):
    """What single-head attentions share, whatever their `__call__` takes and returns.

    Attributes:
        normalizer: From scores to weights.
        dropout_rate: The share of weights dropped in training.
        dtype: In which type to compute, that of the query if None; parameters stay float32.
    """

    normalizer: ops.Normalizer = ops.softmax
    dropout_rate: float = 0.0
    dtype: DType | None = None

    def attend(
        self,
        query: jax.Array,
        key: jax.Array,
        value: jax.Array,
        *,
        score: Callable[[jax.Array, jax.Array], jax.Array],
        normalizer: ops.Normalizer,
        mask: jax.Array | None,
        bias: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, jax.Array]:
        """Check and prepare what is given, and attend.

        Args:
            query: `(*b, q, d_q)`.
            key: `(*b, k, d_k)`.
            value: `(*b, k, d_v)`.
            score: From query and key to scores.
            normalizer: From scores to weights.
            mask: Broadcastable to `(*b, q, k)`; True = may attend.
            bias: Broadcastable to `(*b, q, k)`, added to the scores.
            deterministic: Turns dropout off.

        Returns:
            The context, and the weights before dropout.
        """
        check_attention_inputs(query, key, value)
        query, key, value = (x.astype(self.dtype or query.dtype) for x in (query, key, value))
        key, value = hide_unseen(query, key, value, mask=mask, bias=bias)
        dropout = nn.Dropout(self.dropout_rate, deterministic=deterministic)
        return attend_with_weights(
            self,
            query,
            key,
            value,
            score=score,
            mask=mask,
            bias=bias,
            normalizer=normalizer,
            dropout=dropout,
        )

    def parameter(
        self, name: str, shape: tuple[int, ...], like: jax.Array, initial: Initializer | None = None
    ) -> jax.Array:
        """A parameter in the type of another array; normal, scaled by the fan-in, unless told."""
        initial = initial or nn.initializers.normal(stddev=shape[0] ** -0.5)
        return jnp.asarray(self.param(name, initial, shape, jnp.float32), like.dtype)


class Attention(SingleHead):
    """The base of single-head attentions: a subclass says how a query and a key are scored."""

    def scores(
        self, query: Float[Array, "*b q d_q"], key: Float[Array, "*b k d_k"]
    ) -> Float[Array, "*b q k"]:
        """Score each key for each query."""
        raise NotImplementedError(f"{type(self).__name__} does not define scores(query, key).")

    @nn.compact
    def __call__(
        self,
        query: Float[Array, "*b q d_q"],
        key: Float[Array, "*b k d_k"],
        value: Float[Array, "*b k d_v"],
        *,
        mask: Bool[Array, "..."] | None = None,
        bias: Float[Array, "..."] | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "*b q d_v"]:
        """Attend.

        Args:
            query: `(*b, q, d_q)`.
            key: `(*b, k, d_k)`.
            value: `(*b, k, d_v)`.
            mask: Broadcastable to `(*b, q, k)`; True = may attend.
            bias: Broadcastable to `(*b, q, k)`, added to the scores.
            deterministic: Turns dropout off; where it is on, give `rngs={"dropout": rng}`.

        Returns:
            The context, `(*b, q, d_v)`.

        Raises:
            ValueError: If shapes do not fit together.
            TypeError: If the mask is not boolean.
        """
        context, _ = self.attend(
            query,
            key,
            value,
            score=self.scores,
            normalizer=self.normalizer,
            mask=mask,
            bias=bias,
            deterministic=deterministic,
        )
        return context
