"""Multi-head attention as Flax modules: the base class, and the scaled dot product."""

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Real

from attn_jax import ops
from attn_jax.hooks import capture
from attn_jax.nn.attention import DType, Score, attend_with_taps, sow

Transform = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


def divisors_near(number: int, target: int) -> str:
    """Name the nearest divisors of a number below and above a target, for an error."""
    divisors = [i for i in range(1, number + 1) if number % i == 0]
    below = [i for i in divisors if i < target][-1:]
    above = [i for i in divisors if i > target][:1]
    return " and ".join(str(i) for i in (*below, *above))


def head_features(num_heads: int, head_dim: int | None, features: int) -> int:
    """Return the features of one head: `head_dim`, or the query's divided by the heads.

    Raises:
        ValueError: If `head_dim` is None and the heads do not divide the features.
    """
    if head_dim is not None:
        return head_dim
    if features % num_heads:
        raise ValueError(
            f"num_heads={num_heads} must divide the query's {features} features; the nearest "
            f"divisors are {divisors_near(features, num_heads)}. Or set head_dim."
        )
    return features // num_heads


class MultiHead(nn.Module):
    """The base of attentions with several heads: projections, attention, output.

    A subclass defines `attend_heads`, which maps the projected heads to their contexts. It may also
    override `head_shapes`, the heads and features of the projections; `project`, which sees the
    tokens and returns the heads; `place`, which transforms query and key; and `mix_heads`, which
    sees the tokens that ask and changes the contexts before the output projection.
    :class:`MultiHeadAttention` defines `attend_heads` by its `stages`, a score and a normalizer.

    The parameters are `query`, `key`, `value` and `out`, each with a `kernel` and, if `use_bias`, a
    `bias`. Their names and shapes are those of Flax's `MultiHeadDotProductAttention`.

    Attributes:
        num_heads: h, the query heads.
        head_dim: d; the query's features divided by `num_heads` if None.
        num_key_value_heads: The number of key and value heads, `num_heads` if None. With fewer,
            each one serves a group of query heads.
        out_dim: The features of the output; those of the query if None.
        use_bias: Whether the projections have biases.
        transform: A function of the projected query and key, `(*b, tokens, h, d)`, such as
            :class:`Rotary` or :class:`QueryKeyNorm`.
        dtype: The type to compute in; that of the query if None. Parameters stay float32.
        has_scores: Whether there are scores that a mask or a bias can change. An attention of
            linear cost has none, and takes only a `key_mask`.
    """

    num_heads: int = 4
    head_dim: int | None = None
    num_key_value_heads: int | None = None
    out_dim: int | None = None
    use_bias: bool = True
    transform: Transform | None = None
    dtype: DType | None = None

    has_scores: ClassVar[bool] = True

    @nn.compact
    def __call__(
        self,
        query: Real[Array, "*b q d_q"],
        key: Real[Array, "*b k d_k"] | None = None,
        value: Real[Array, "*b k d_v"] | None = None,
        *,
        mask: Bool[Array, "..."] | None = None,
        bias: Real[Array, "..."] | None = None,
        key_mask: Bool[Array, "..."] | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "*b q d_out"]:
        """Attend.

        Args:
            query: `(*b, q, d_q)`.
            key: `(*b, k, d_k)`; the query if None (self-attention).
            value: `(*b, k, d_v)`; the key if None.
            mask: True = may attend; `(*b, h, q, k)` with ones allowed, `(q, k)` or `(k,)`.
            bias: Added to the scores, of the same shapes.
            key_mask: `(*b, k)`; True = the key exists.
            deterministic: Turns dropout off; where it is on, give `rngs={"dropout": rng}`.

        Returns:
            `(*b, q, out_dim)`.

        Raises:
            ValueError: If the heads do not divide the features, or shapes do not fit together.
            TypeError: If a mask is not boolean.
        """
        if not self.has_scores and not (mask is None and bias is None):
            raise ValueError(
                f"{type(self).__name__} computes no scores, so it takes neither mask nor bias; "
                "hide keys with key_mask, (*batch, keys)."
            )
        is_self = key is None
        key = query if key is None else key
        value = key if value is None else value
        inputs = ops.prepare(
            query, key, value, mask=mask, bias=bias, key_mask=key_mask, num_heads=self.num_heads
        )
        query = inputs.query
        # Four stages, so that a variant overrides only its own: project, attend, mix, output.
        heads = self.project(inputs)
        context = self.attend_heads(heads, is_self=is_self, deterministic=deterministic)
        return self.output(self.mix_heads(context, query), query)

    def head_shapes(self, features: int) -> dict[str, tuple[int, int]]:
        """Return the number of heads of query, key and value, and the features of a head."""
        head_dim = head_features(self.num_heads, self.head_dim, features)
        key_heads = self.num_key_value_heads or self.num_heads
        return {
            "query": (self.num_heads, head_dim),
            "key": (key_heads, head_dim),
            "value": (key_heads, head_dim),
        }

    def project(self, inputs: ops.Inputs) -> ops.Inputs:
        """Project the tokens to heads, `(*b, tokens, h, d)`, and transform query and key."""
        shapes = self.head_shapes(inputs.query.shape[-1])
        query, key, value = (
            self.dense(shapes[name], inputs.query, name=name)(getattr(inputs, name))
            for name in ("query", "key", "value")
        )
        query, key = self.place(query, key)
        return inputs._replace(query=query, key=key, value=value)

    def place(
        self, query: Float[Array, "*b q h d"], key: Float[Array, "*b k h_k d"]
    ) -> tuple[Float[Array, "*b q h d"], Float[Array, "*b k h_k d"]]:
        """Transform query and key, which is where most attentions learn of positions.

        Args:
            query: The projected query.
            key: The projected key.
        """
        return (query, key) if self.transform is None else self.transform(query, key)

    def dense(
        self, features: int | tuple[int, ...], like: jax.Array, *, name: str, axis: int | tuple = -1
    ) -> nn.DenseGeneral:
        """Create one of the projections, in the type of the module."""
        dtype = jnp.dtype(self.dtype or like.dtype)
        return nn.DenseGeneral(features, axis=axis, use_bias=self.use_bias, dtype=dtype, name=name)

    def attend_heads(
        self, heads: ops.Inputs, *, is_self: bool, deterministic: bool
    ) -> Float[Array, "*b q h e"]:
        """Attend with the projected heads.

        Args:
            heads: Query, key and value, `(*b, tokens, heads, features)`, with mask and bias.
            is_self: Whether query and key are the same tokens.
            deterministic: Turns dropout off.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define attend_heads.")

    def mix_heads(
        self, context: Float[Array, "*b q h e"], query: Float[Array, "*b q d_q"]
    ) -> Float[Array, "*b q h e"]:
        """Change the contexts before the output projection; the base returns them unchanged.

        Args:
            context: The context of each head.
            query: The tokens of the query, before their projection.
        """
        return context

    def output(
        self, context: Float[Array, "*b q h e"], query: Float[Array, "*b q d_q"]
    ) -> Float[Array, "*b q d_out"]:
        """Join the contexts of the heads and project them.

        Args:
            context: The context of each head, after `mix_heads`.
            query: The tokens of the query, before their projection.
        """
        features = self.out_dim or query.shape[-1]
        return self.dense(features, query, axis=(-2, -1), name="out")(context)


class MultiHeadAttention(MultiHead):
    """Attention with several heads, each with its own projections.

    The function is :func:`attn_jax.ops.multi_head_attention`; parameters and further attributes are
    those of :class:`MultiHead`. The hook points `query`, `key`, `value` and `context` are per head,
    `(*b, tokens, h, d)`; `scores` and `weights` are `(*b, h, q, k)`.

    Attributes:
        causal: Let each query see only the keys up to its own position.
        window: The number of keys to the left and to the right that each query may attend to.
        implementation: The implementation of the fused call, :func:`attn_jax.ops.attention`. Any
            normalizer but softmax, and active dropout, take the unfused path. With `"streaming"`,
            `"kernel"` and `"ring"` the `summary` of the weights is sown instead of the weights,
            whose size is quadratic in the number of tokens.
        normalizer: Maps scores to weights.
        dropout_rate: The fraction of weights dropped in training.
        is_fusible: Whether the fused call computes the same as the `stages`.

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

    causal: bool = False
    window: tuple[int, int] | None = None
    implementation: ops.Implementation = "auto"
    normalizer: ops.Normalizer = ops.softmax
    dropout_rate: float = 0.0

    is_fusible: ClassVar[bool] = True

    def stages(self, heads: ops.Inputs) -> tuple[Score, ops.Normalizer]:
        """Return the score function and the normalizer of the heads."""
        return ops.multi_head_scores, self.normalizer

    def attend_heads(
        self, heads: ops.Inputs, *, is_self: bool, deterministic: bool
    ) -> Float[Array, "*b q h e"]:
        """Attend in one fused call, or stage by stage if a stage is not the usual one."""
        if not self.is_fusible and self.implementation != "auto":
            raise ValueError(
                f"implementation={self.implementation!r} chooses a fused call, which cannot mix "
                f"the maps of {type(self).__name__}; leave it at 'auto'."
            )
        # The fused call computes softmax without dropout; anything else needs the weights in full.
        deterministic = deterministic or not self.dropout_rate
        if self.is_fusible and deterministic and self.normalizer is ops.softmax:
            return self._fused(heads)
        sizes = (heads.query.shape[-3], heads.key.shape[-3])
        mask = ops.combine_masks(
            heads.mask,
            ops.causal_mask(*sizes) if self.causal else None,
            None if self.window is None else ops.window_mask(*sizes, self.window),
        )
        score, normalizer = self.stages(heads)
        return attend_with_taps(
            self,
            heads._replace(mask=mask),
            score=score,
            weigh=ops.multi_head_weigh,
            normalizer=normalizer,
            dropout=nn.Dropout(self.dropout_rate, deterministic=deterministic),
        )[0]

    def structure(self, heads: ops.Inputs) -> dict[str, Any]:
        """Return what the fused call is to know of the structure of the scores."""
        return {"causal": self.causal, "window": self.window}

    def _fused(self, heads: ops.Inputs) -> jax.Array:
        structure = self.structure(heads)
        call = functools.partial(ops.attention, mask=heads.mask, bias=heads.bias, **structure)
        if self.is_mutable_collection("intermediates"):
            # A fused call returns no weights; its hook point does, and only when it is asked for.
            is_streamed = self.implementation in ("streaming", "kernel", "ring")
            leaf = "summary" if is_streamed else "weights"
            _, captured = capture(call, leaf)(*heads[:3])
            sow(self, leaf, captured[leaf])
        return call(*heads[:3], implementation=self.implementation)
