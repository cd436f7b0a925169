"""Local attention (Luong 2015), to a window of keys, as Flax modules."""

from typing import ClassVar

from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int, Real

from attn_jax import ops
from attn_jax.nn.scores import BilinearAttention
from attn_jax.ops.alignment.local import count_keys, gaussian_window
from attn_jax.ops.shapes import check_attention_inputs


class LocalMAttention(BilinearAttention):
    """Attention to a window around each query: :func:`attn_jax.ops.local_m_attention`.

    Parameter: `w (d_q, d_k)`.

    Attributes:
        half_width: D, the keys on either side of the center.

    Example:
        >>> x = jnp.ones((2, 5, 3))
        >>> model = LocalMAttention(half_width=1)
        >>> variables = model.init(jax.random.key(0), x, x, x)
        >>> model.apply(variables, x, x, x).shape
        (2, 5, 3)
    """

    half_width: int = 10

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
        query_offset: int | Int[Array, ""] = 0,
        deterministic: bool = True,
    ) -> Float[Array, "*b q d_v"]:
        """Attend as :class:`Attention` does; `query_offset` is the position of the first query."""
        check_attention_inputs(query, key, value)
        inputs = self.prepare(
            query,
            key,
            value,
            mask=mask,
            bias=bias,
            key_mask=key_mask,
            structure=ops.window_mask(
                query.shape[-2], key.shape[-2], self.half_width, query_offset=query_offset
            ),
        )
        return self.attend(
            inputs, score=self.scores, normalizer=self.normalizer, deterministic=deterministic
        )[0]


class LocalPAttention(BilinearAttention):
    """Attention to a window at a predicted position: :func:`attn_jax.ops.local_p_attention`.

    Parameters: `w (d_q, d_k)`, `w_position (d_q, a)` and `v_position (a,)`.

    Attributes:
        half_width: D, the keys on either side of the center.
        hidden_dim: a, the hidden units that predict the position; the number of the query's
            features if None.

    Example:
        >>> x = jnp.ones((2, 5, 3))
        >>> model = LocalPAttention(half_width=2)
        >>> variables = model.init(jax.random.key(0), x, x, x)
        >>> model.apply(variables, x, x, x).shape
        (2, 5, 3)
    """

    half_width: int = 10
    hidden_dim: int | None = None

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
        lengths: Int[Array, "*b"] | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "*b q d_v"]:
        """Attend as :class:`Attention` does; `lengths` overrides the number of keys."""
        inputs = self.prepare(query, key, value, mask=mask, bias=bias, key_mask=key_mask)
        query = inputs.query
        hidden_dim = self.hidden_dim or query.shape[-1]
        position = ops.predicted_position(
            query,
            count_keys(key, key_mask) if lengths is None else lengths,
            w_position=self.parameter("w_position", (query.shape[-1], hidden_dim), query),
            v_position=self.parameter("v_position", (hidden_dim,), query),
        )
        context, _ = self.attend(
            inputs,
            score=self.scores,
            normalizer=gaussian_window(position, self.half_width, self.normalizer),
            deterministic=deterministic,
        )
        return context
