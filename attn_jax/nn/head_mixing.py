"""Multi-head attentions whose heads are mixed or set against each other, as Flax modules."""

import functools
import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from attn_jax import ops
from attn_jax.nn.attention import DType, attend
from attn_jax.nn.multi_head import head_features
from attn_jax.ops.heads.differential import repeat_pairs
from attn_jax.ops.heads.multi_head import hide_unseen_tokens
from attn_jax.ops.heads.query_key_norm import rms_normalise
from attn_jax.ops.heads.talking_heads import mix_heads
from attn_jax.ops.shapes import check_attention_inputs


class TalkingHeadsAttention(nn.Module):
    """Attention whose heads mix their scores and weights: `attn_jax.ops.talking_heads_attention`.

    Parameters: `query`, `key`, `value` and `out`, as those of :class:`MultiHeadAttention`, and
    `w_scores (h, h)` and `w_weights (h, h)`, which begin as identities. The hook points `scores`
    and `weights`, `(*b, h, q, k)`, are the mixed ones.

    Attributes:
        num_heads: h.
        head_dim: d; the features of the query over `num_heads` if None.
        out_dim: Features of the output; those of the query if None.
        use_bias: Whether the projections have biases.
        normalizer: From scores to weights.
        dropout_rate: The share of weights dropped in training.
        dtype: In which type to compute, that of the query if None; parameters stay float32.

    Example:
        >>> x = jnp.ones((2, 5, 12))
        >>> model = TalkingHeadsAttention(num_heads=3)
        >>> model.apply(model.init(jax.random.key(0), x), x).shape
        (2, 5, 12)

    References:
        Shazeer et al., "Talking-Heads Attention", 2020. https://arxiv.org/abs/2003.02436
    """

    num_heads: int = 4
    head_dim: int | None = None
    out_dim: int | None = None
    use_bias: bool = True
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
            bias: Broadcastable to `(*b, h, q, k)`, added to the mixed scores.
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
        head_dim = head_features(self.num_heads, self.head_dim, query.shape[-1])
        project = functools.partial(
            nn.DenseGeneral, use_bias=self.use_bias, dtype=jnp.dtype(self.dtype or query.dtype)
        )
        heads = (self.num_heads, head_dim)
        w_scores, w_weights = (self._mixing(name) for name in ("w_scores", "w_weights"))

        def mixed(scores: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
            return mix_heads(self.normalizer(scores, mask=mask), w_weights)

        context = attend(
            self,
            project(heads, name="query")(query),
            project(heads, name="key")(key),
            project(heads, name="value")(value),
            score=functools.partial(ops.talking_heads_scores, w_scores=w_scores),
            weigh=ops.multi_head_weigh,
            mask=mask,
            bias=bias,
            normalizer=mixed,
            dropout=nn.Dropout(self.dropout_rate, deterministic=deterministic),
        )
        return project(self.out_dim or query.shape[-1], axis=(-2, -1), name="out")(context)

    def _mixing(self, name: str) -> jax.Array:
        identity = lambda _, shape, dtype: jnp.eye(*shape, dtype=dtype)  # noqa: E731
        return self.param(name, identity, (self.num_heads, self.num_heads), jnp.float32)


class DifferentialAttention(nn.Module):
    r"""Attention by the difference of two maps a head: :func:`attn_jax.ops.differential_attention`.

    Each head's context is normalised to a root mean square of one, scaled, and multiplied by
    :math:`1 - \lambda_\text{init}`. Parameters: `query (d_q, 2h, d)`, `key (d_k, 2h, d)`,
    `value (d_v, h, 2d)` and `out`; `lambda_query_1`, `lambda_key_1`, `lambda_query_2`,
    `lambda_key_2`, each `(d,)`; `scale (2d,)`. The hook points `scores` are `(*b, 2h, q, k)`, the
    `weights`, some of them negative, `(*b, h, q, k)`.

    Attributes:
        num_heads: h, each of two maps.
        head_dim: d; half the features of the query over `num_heads` if None.
        out_dim: Features of the output; those of the query if None.
        use_bias: Whether the projections have biases.
        layer: The depth from 1 on, which sets :math:`\lambda_\text{init}`.
        normalizer: From scores to the weights of each map.
        dropout_rate: The share of weights dropped in training.
        dtype: In which type to compute, that of the query if None; parameters stay float32.

    Example:
        >>> x = jnp.ones((2, 5, 12))
        >>> model = DifferentialAttention(num_heads=3)
        >>> model.apply(model.init(jax.random.key(0), x), x).shape
        (2, 5, 12)

    References:
        Ye et al., "Differential Transformer", 2024, section 2. https://arxiv.org/abs/2410.05258
    """

    num_heads: int = 4
    head_dim: int | None = None
    out_dim: int | None = None
    use_bias: bool = False
    layer: int = 1
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
            bias: Broadcastable to `(*b, h, q, k)`, added to the scores of both maps.
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
        head_dim = head_features(2 * self.num_heads, self.head_dim, query.shape[-1])
        project = functools.partial(
            nn.DenseGeneral, use_bias=self.use_bias, dtype=jnp.dtype(self.dtype or query.dtype)
        )
        initial = 0.8 - 0.6 * math.exp(-0.3 * (self.layer - 1))
        normalizer = functools.partial(
            ops.differential_weights,
            lambda_=self._lambda(head_dim, initial),
            normalizer=self.normalizer,
        )
        context = attend(
            self,
            project((2 * self.num_heads, head_dim), name="query")(query),
            project((2 * self.num_heads, head_dim), name="key")(key),
            project((self.num_heads, 2 * head_dim), name="value")(value),
            score=ops.differential_scores,
            weigh=ops.multi_head_weigh,
            mask=mask,
            bias=repeat_pairs(bias),
            normalizer=normalizer,
            dropout=nn.Dropout(self.dropout_rate, deterministic=deterministic),
        )
        scale = self.param("scale", nn.initializers.ones, (2 * head_dim,), jnp.float32)
        context = rms_normalise(context, scale, 1e-5) * (1 - initial)
        return project(self.out_dim or query.shape[-1], axis=(-2, -1), name="out")(context)

    def _lambda(self, head_dim: int, initial: float) -> jax.Array:
        names = ("query_1", "key_1", "query_2", "key_2")
        normal = nn.initializers.normal(0.1)
        vectors = (self.param(f"lambda_{n}", normal, (head_dim,), jnp.float32) for n in names)
        return ops.differential_lambda(*vectors, initial=initial)
