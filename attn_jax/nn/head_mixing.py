"""Multi-head attentions that mix heads or maps, as Flax modules."""

import functools
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from attn_jax import ops
from attn_jax.nn.attention import Score
from attn_jax.nn.multi_head import MultiHeadAttention, head_features


class TalkingHeadsAttention(MultiHeadAttention):
    """Attention whose heads mix their scores and weights: `attn_jax.ops.talking_heads_attention`.

    Parameters: those of :class:`MultiHead`, and `w_scores (h, h)` and `w_weights (h, h)`, which
    start as identities. The hook points `scores` and `weights`, `(*b, h, q, k)`, are those after
    mixing. The weights of a head depend on the scores of all heads, so no fused call computes them.

    Example:
        >>> x = jnp.ones((2, 5, 12))
        >>> model = TalkingHeadsAttention(num_heads=3)
        >>> model.apply(model.init(jax.random.key(0), x), x).shape
        (2, 5, 12)

    References:
        Shazeer et al., "Talking-Heads Attention", 2020. https://arxiv.org/abs/2003.02436
    """

    is_fusible: ClassVar[bool] = False

    def stages(self, heads: ops.Inputs) -> tuple[Score, ops.Normalizer]:
        """Return scores that are mixed across heads, and a normalizer whose weights are too."""
        w_scores, w_weights = (self._mixing(name) for name in ("w_scores", "w_weights"))

        def normalizer(scores: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
            return ops.mix_heads(self.normalizer(scores, mask=mask), w_weights)

        return functools.partial(ops.talking_heads_scores, w_scores=w_scores), normalizer

    def _mixing(self, name: str) -> jax.Array:
        identity = lambda _, shape, dtype: jnp.eye(*shape, dtype=dtype)  # noqa: E731
        return self.param(name, identity, (self.num_heads, self.num_heads), jnp.float32)


class DifferentialAttention(MultiHeadAttention):
    r"""Attention by the difference of two maps: :func:`attn_jax.ops.differential_attention`.

    Each head's context is divided by its root mean square, scaled, and multiplied by
    :math:`1 - \lambda_\text{init}`. Parameters: `query (d_q, 2h, d)`, `key (d_k, 2h, d)`,
    `value (d_v, h, 2d)` and `out`; `lambda_query_1`, `lambda_key_1`, `lambda_query_2`,
    `lambda_key_2`, each `(d,)`; `scale (2d,)`. The hook point `scores` is `(*b, 2h, q, k)`, and
    `weights`, some of which are negative, is `(*b, h, q, k)`.

    Attributes:
        head_dim: d; half the query's features divided by `num_heads` if None.
        layer: The number of the layer, from 1, which sets :math:`\lambda_\text{init}`.

    Example:
        >>> x = jnp.ones((2, 5, 12))
        >>> model = DifferentialAttention(num_heads=3)
        >>> model.apply(model.init(jax.random.key(0), x), x).shape
        (2, 5, 12)

    References:
        Ye et al., "Differential Transformer", 2024, section 2. https://arxiv.org/abs/2410.05258
    """

    use_bias: bool = False
    layer: int = 1

    is_fusible: ClassVar[bool] = False

    @property
    def initial(self) -> float:
        r"""Return :math:`\lambda_\text{init}`."""
        return 0.8 - 0.6 * math.exp(-0.3 * (self.layer - 1))

    def head_shapes(self, features: int) -> dict[str, tuple[int, int]]:
        """Return two heads of query and key for each head of the value, which is twice as wide."""
        head_dim = head_features(2 * self.num_heads, self.head_dim, features)
        key_heads = self.num_key_value_heads or self.num_heads
        return {
            "query": (2 * self.num_heads, head_dim),
            "key": (2 * key_heads, head_dim),
            "value": (key_heads, 2 * head_dim),
        }

    def attend_heads(
        self, heads: ops.Inputs, *, is_self: bool, deterministic: bool
    ) -> Float[Array, "*b q h e"]:
        """Attend by differences of maps; both maps of a head share its bias."""
        paired = heads._replace(bias=ops.repeat_pairs(heads.bias))
        return super().attend_heads(paired, is_self=is_self, deterministic=deterministic)

    def stages(self, heads: ops.Inputs) -> tuple[Score, ops.Normalizer]:
        """Return scores for both maps of each head, and a normalizer that takes the difference."""
        lambda_ = self._lambda(heads.query.shape[-1])
        normalizer = functools.partial(
            ops.differential_weights, lambda_=lambda_, normalizer=self.normalizer
        )
        return ops.differential_scores, normalizer

    def mix_heads(self, context: jax.Array, query: jax.Array) -> jax.Array:
        """Normalize and scale the context of each head."""
        scale = self.param("scale", nn.initializers.ones, (context.shape[-1],), jnp.float32)
        return ops.rms_normalize(context, scale, 1e-5) * (1 - self.initial)

    def _lambda(self, head_dim: int) -> jax.Array:
        names = ("query_1", "key_1", "query_2", "key_2")
        normal = nn.initializers.normal(0.1)
        vectors = (self.param(f"lambda_{n}", normal, (head_dim,), jnp.float32) for n in names)
        return ops.differential_lambda(*vectors, initial=self.initial)
