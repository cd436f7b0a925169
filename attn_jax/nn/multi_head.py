"""Multi-head attention as a Flax module."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from attn_jax import ops
from attn_jax.hooks import capture
from attn_jax.nn.attention import DType, attend
from attn_jax.ops.heads.multi_head import hide_unseen_tokens
from attn_jax.ops.shapes import check_attention_inputs

Transform = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


def divisors_near(number: int, target: int) -> str:
    """The divisors of a number on both sides of a target, for an error message."""
    divisors = [i for i in range(1, number + 1) if number % i == 0]
    below = [i for i in divisors if i < target][-1:]
    above = [i for i in divisors if i > target][:1]
    return " and ".join(str(i) for i in (*below, *above))


def head_features(num_heads: int, head_dim: int | None, features: int) -> int:
    """The features of one head: as given, or else the query's, shared out among the heads.

    Raises:
        ValueError: If they are not given and the heads do not divide the features.
    """
    if head_dim is not None:
        return head_dim
    if features % num_heads:
        raise ValueError(
            f"num_heads={num_heads} must divide the query's {features} features; the nearest "
            f"divisors are {divisors_near(features, num_heads)}. Or set head_dim."
        )
    return features // num_heads


class MultiHeadAttention(nn.Module):
    """Attention with several heads, each in a projection of its own.

    The maths is :func:`attn_jax.ops.multi_head_attention`. Parameters are `query`, `key`, `value`
    and `out`, each with a `kernel` and, with `use_bias`, a `bias`: the names and shapes of Flax's
    own `MultiHeadDotProductAttention`. The hook points `query`, `key`, `value` and `context` are
    per head, `(*b, tokens, h, d)`; `scores` and `weights` are `(*b, h, q, k)`.

    Attributes:
        num_heads: h, the query heads.
        head_dim: d; the features of the query over `num_heads` if None.
        num_key_value_heads: Fewer heads for keys and values, each serving a group of query heads;
            `num_heads` if None.
        out_dim: Features of the output; those of the query if None.
        use_bias: Whether the projections have biases.
        causal: Let each query see only the keys up to its own position.
        window: How many keys to the left and to the right of its own position a query sees.
        implementation: Of the fused call, :func:`attn_jax.ops.attention`; another normaliser than
            softmax, and active dropout, take the unfused path. With `"streaming"`, what is sown is
            the `summary` of the weights, not they, whose size is the square of the tokens'.
        transform: Applied to the projected query and key of all heads, `(*b, tokens, h, d)`: say
            :class:`Rotary`, :class:`QueryKeyNorm`, or any function of the two.
        normalizer: From scores to weights.
        dropout_rate: The share of weights dropped in training.
        dtype: In which type to compute, that of the query if None; parameters stay float32.

    Example:
        >>> x = jnp.ones((2, 5, 6))
        >>> model = MultiHeadAttention(num_heads=3)
        >>> variables = model.init(jax.random.key(0), x)
        >>> model.apply(variables, x).shape
        (2, 5, 6)

    References:
        Vaswani et al., "Attention Is All You Need", 2017, section 3.2.2.
        https://arxiv.org/abs/1706.03762
        Ainslie et al., "GQA", 2023, for `num_key_value_heads`. https://arxiv.org/abs/2305.13245
    """

    num_heads: int = 4
    head_dim: int | None = None
    num_key_value_heads: int | None = None
    out_dim: int | None = None
    use_bias: bool = True
    causal: bool = False
    window: tuple[int, int] | None = None
    implementation: ops.Implementation = "auto"
    transform: Transform | None = None
    normalizer: ops.Normalizer = ops.softmax
    dropout_rate: float = 0.0
    dtype: DType | None = None

    @nn.compact
    def __call__(
        self,
        query: Float[Array, "*b q d_q"],
        key: Float[Array, "*b k d_k"] | None = None,
        value: Float[Array, "*b k d_v"] | None = None,
        *,
        mask: Bool[Array, "..."] | None = None,
        bias: Float[Array, "..."] | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "*b q d_out"]:
        """Attend.

        Args:
            query: `(*b, q, d_q)`.
            key: `(*b, k, d_k)`; the query if None (self-attention).
            value: `(*b, k, d_v)`; the key if None.
            mask: Broadcastable to `(*b, h, q, k)`; True = may attend.
            bias: Broadcastable to `(*b, h, q, k)`, added to the scores.
            deterministic: Turns dropout off; where it is on, give `rngs={"dropout": rng}`.

        Returns:
            `(*b, q, out_dim)`.

        Raises:
            ValueError: If the heads do not divide the features, or shapes do not fit together.
            TypeError: If the mask is not boolean.
        """
        key = query if key is None else key
        value = key if value is None else value
        check_attention_inputs(query, key, value)
        key, value = hide_unseen_tokens(query, key, value, self.num_heads, mask=mask, bias=bias)
        project = functools.partial(
            nn.DenseGeneral, use_bias=self.use_bias, dtype=jnp.dtype(self.dtype or query.dtype)
        )
        out_dim = self.out_dim or query.shape[-1]
        head_dim = head_features(self.num_heads, self.head_dim, query.shape[-1])
        key_heads = self.num_key_value_heads or self.num_heads
        of_query = project((self.num_heads, head_dim), name="query")(query)
        of_key = project((key_heads, head_dim), name="key")(key)
        if self.transform is not None:
            of_query, of_key = self.transform(of_query, of_key)
        context = self._attend(
            of_query,
            of_key,
            project((key_heads, head_dim), name="value")(value),
            mask=mask,
            bias=bias,
            deterministic=deterministic or not self.dropout_rate,
        )
        return project(out_dim, axis=(-2, -1), name="out")(context)

    def _attend(
        self,
        query: jax.Array,
        key: jax.Array,
        value: jax.Array,
        *,
        mask: jax.Array | None,
        bias: jax.Array | None,
        deterministic: bool,
    ) -> jax.Array:
        """Attend in one fused call, or stage by stage where a stage is not the usual one."""
        if deterministic and self.normalizer is ops.softmax:
            structure = {"causal": self.causal, "window": self.window}
            call = functools.partial(ops.attention, mask=mask, bias=bias, **structure)
            if self.is_mutable_collection("intermediates"):
                leaf = "summary" if self.implementation == "streaming" else "weights"
                _, captured = capture(call, leaf)(query, key, value)
                self.sow("intermediates", leaf, captured[leaf])
            return call(query, key, value, implementation=self.implementation)
        sizes = (query.shape[-3], key.shape[-3])
        causal = ops.causal_mask(*sizes) if self.causal else None
        window = None if self.window is None else ops.window_mask(*sizes, self.window)
        return attend(
            self,
            query,
            key,
            value,
            score=ops.multi_head_scores,
            weigh=ops.multi_head_weigh,
            mask=ops.combine_masks(mask, causal, window),
            bias=bias,
            normalizer=self.normalizer,
            dropout=nn.Dropout(self.dropout_rate, deterministic=deterministic),
        )
