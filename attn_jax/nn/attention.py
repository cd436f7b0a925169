"""Shared parts of the attention modules: hook points, and the single-head base classes."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Real

from attn_jax import ops
from attn_jax.hooks import tap
from attn_jax.ops.stages import unmasked_pairs

DType = Literal["float32", "bfloat16"]
Initializer = Callable[..., jax.Array]
Score = Callable[[jax.Array, jax.Array], jax.Array]


def sow(module: nn.Module, name: str, value: jax.Array | tuple) -> None:
    """Sow an intermediate, in place of one that was fed back from an earlier `apply`.

    Flax appends to whatever the variables hold, so that a state which goes round a loop grows at
    each step. Calls within one `apply` are still appended. Inside a lifted transform such as
    `nn.scan` the two look alike, so that values are appended as Flax does.
    """
    is_lifted = module.scope is not None and module.scope.root.path != ()
    names = module.__dict__.setdefault("_sown", set())
    is_first = name not in names and not is_lifted
    names.add(name)

    def append(old: tuple[Any, ...], new: Any) -> tuple[Any, ...]:
        return (new,) if is_first else (*old, new)

    module.sow("intermediates", name, value, init_fn=tuple[Any, ...], reduce_fn=append)


def attend_with_taps(
    module: nn.Module,
    inputs: ops.Inputs,
    *,
    score: Score,
    normalizer: ops.Normalizer = ops.softmax,
    weigh: Callable[[jax.Array, jax.Array], jax.Array] = ops.weigh,
    dropout: nn.Module | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Score, add the bias, normalize under the mask and weigh, with a hook point at each stage.

    Every unfused attention gets its hook points here. Dropout comes after them, so the captured
    weights are the whole distribution.

    Args:
        module: The module that sows the `weights`.
        inputs: The inputs that :func:`attn_jax.ops.prepare` returned.
        score: Maps query and key to scores.
        normalizer: Maps scores to weights.
        weigh: Maps weights and value to the context.
        dropout: Applied to the weights.

    Returns:
        The context, and the weights before dropout.
    """
    query, key = tap("query", inputs.query), tap("key", inputs.key)
    value = tap("value", inputs.value)
    scores = tap("scores", ops.add_bias(score(query, key), inputs.bias))
    weights = normalizer(scores, mask=inputs.mask)
    weights = tap("weights", weights, visible=visible_pairs(inputs, weights.shape))
    sow(module, "weights", weights)
    dropped = weights if dropout is None else dropout(weights)
    return tap("context", weigh(dropped, value)), weights


def visible_pairs(inputs: ops.Inputs, shape: tuple[int, ...]) -> jax.Array | None:
    """Return where queries may look, of the rank of the weights, for their tap.

    Args:
        inputs: The inputs, with a mask and a bias or None.
        shape: The shape of the weights.

    Returns:
        The mask; None if it has not the heads of the weights, as where heads are mixed.
    """
    given = [x.shape for x in (inputs.mask, inputs.bias) if x is not None]
    if any(n not in (1, m) for sizes in given for n, m in zip(sizes, shape, strict=True)):
        return None
    visible = unmasked_pairs(inputs.mask, inputs.bias)
    return jnp.ones((1,) * len(shape), bool) if visible is None else visible


class SingleHead(nn.Module):
    """The base of all single-head attentions, with or without a state.

    Attributes:
        normalizer: Maps scores to weights.
        dropout_rate: The fraction of weights dropped in training.
        dtype: The type to compute in; that of the query if None. Parameters stay float32.
        needs_history: Whether the attention needs the position of a query, or the state of the
            previous step. A decoder that keeps neither refuses such an attention.
    """

    normalizer: ops.Normalizer = ops.softmax
    dropout_rate: float = 0.0
    dtype: DType | None = None

    needs_history: ClassVar[bool] = False

    def prepare(
        self,
        query: jax.Array,
        key: jax.Array,
        value: jax.Array,
        *,
        mask: jax.Array | None,
        bias: jax.Array | None,
        key_mask: jax.Array | None,
        structure: jax.Array | None = None,
    ) -> ops.Inputs:
        """Prepare the inputs by :func:`attn_jax.ops.prepare`, in the module's type."""
        inputs = ops.prepare(
            query, key, value, mask=mask, bias=bias, key_mask=key_mask, structure=structure
        )
        dtype = self.dtype or inputs.query.dtype
        query, key, value = (x.astype(dtype) for x in inputs[:3])
        return inputs._replace(query=query, key=key, value=value)

    def attend(
        self,
        inputs: ops.Inputs,
        *,
        score: Score,
        normalizer: ops.Normalizer,
        deterministic: bool,
    ) -> tuple[jax.Array, jax.Array]:
        """Attend, with dropout and hook points; return the context and the weights."""
        dropout = nn.Dropout(self.dropout_rate, deterministic=deterministic)
        return attend_with_taps(self, inputs, score=score, normalizer=normalizer, dropout=dropout)

    def parameter(
        self, name: str, shape: tuple[int, ...], like: jax.Array, initial: Initializer | None = None
    ) -> jax.Array:
        """Create a parameter in the type of another array, by default normal, by the fan-in."""
        initial = initial or nn.initializers.normal(stddev=shape[0] ** -0.5)
        return jnp.asarray(self.param(name, initial, shape, jnp.float32), like.dtype)


class Attention(SingleHead):
    """The base of single-head attentions that differ only in their scores."""

    def scores(
        self, query: Float[Array, "*b q d_q"], key: Float[Array, "*b k d_k"]
    ) -> Float[Array, "*b q k"]:
        """Score each key for each query."""
        raise NotImplementedError(f"{type(self).__name__} does not define scores(query, key).")

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
        """Attend.

        Args:
            query: `(*b, q, d_q)`.
            key: `(*b, k, d_k)`.
            value: `(*b, k, d_v)`.
            mask: True = may attend; `(*b, q, k)` with ones allowed, `(q, k)` or `(k,)`.
            bias: Added to the scores, of the same shapes.
            key_mask: `(*b, k)`; True = the key exists.
            deterministic: Turns dropout off; where it is on, give `rngs={"dropout": rng}`.

        Returns:
            The context, `(*b, q, d_v)`.

        Raises:
            ValueError: If shapes do not fit together.
            TypeError: If a mask is not boolean.
        """
        inputs = self.prepare(query, key, value, mask=mask, bias=bias, key_mask=key_mask)
        return self.attend(
            inputs,
            score=self.scores,
            normalizer=self.normalizer,
            deterministic=deterministic,
        )[0]
