"""Attention to a window of keys (Luong 2015), as Flax modules."""

from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from attn_jax import ops
from attn_jax.nn.scores import BilinearAttention
from attn_jax.ops.alignment.local import around


class LocalMAttention(BilinearAttention):
    """Attention to a window around each query's place: :func:`attn_jax.ops.local_m_attention`.

    Parameter: `w (d_q, d_k)`.

    Attributes:
        half_width: D, the keys on either side.

    Example:
        >>> x = jnp.ones((2, 5, 3))
        >>> model = LocalMAttention(half_width=1)
        >>> variables = model.init(jax.random.key(0), x, x, x)
        >>> model.apply(variables, x, x, x).shape
        (2, 5, 3)
    """

    half_width: int = 10

    def __call__(
        self,
        query: Float[Array, "*b q d_q"],
        key: Float[Array, "*b k d_k"],
        value: Float[Array, "*b k d_v"],
        *,
        mask: Bool[Array, "..."] | None = None,
        bias: Float[Array, "..."] | None = None,
        query_offset: int | Int[Array, ""] = 0,
        deterministic: bool = True,
    ) -> Float[Array, "*b q d_v"]:
        """Attend, as :class:`Attention` does; `query_offset` is the first query's position."""
        sizes = query.shape[-2], key.shape[-2]
        window = ops.window_mask(*sizes, self.half_width, query_offset=query_offset)
        mask = ops.combine_masks(mask, window)
        return super().__call__(
            query, key, value, mask=mask, bias=bias, deterministic=deterministic
        )


class LocalPAttention(BilinearAttention):
    """Attention to a window that the query places: :func:`attn_jax.ops.local_p_attention`.

    Parameters: `w (d_q, d_k)`, `w_position (d_q, a)` and `v_position (a,)`.

    Attributes:
        half_width: D, the keys on either side.
        hidden_dim: a, the hidden units that predict the position; as many as the query has
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
        query: Float[Array, "*b q d_q"],
        key: Float[Array, "*b k d_k"],
        value: Float[Array, "*b k d_v"],
        *,
        mask: Bool[Array, "..."] | None = None,
        bias: Float[Array, "..."] | None = None,
        lengths: Int[Array, "*b"] | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "*b q d_v"]:
        """Attend, as :class:`Attention` does; `lengths` are the keys that are not padding."""
        hidden_dim = self.hidden_dim or query.shape[-1]
        asked = query.astype(self.dtype or query.dtype)
        position = ops.predicted_position(
            asked,
            key.shape[-2] if lengths is None else lengths,
            w_position=self.parameter("w_position", (query.shape[-1], hidden_dim), asked),
            v_position=self.parameter("v_position", (hidden_dim,), asked),
        )
        context, _ = self.attend(
            query,
            key,
            value,
            score=self.scores,
            normalizer=around(position, self.half_width, self.normalizer),
            mask=mask,
            bias=bias,
            deterministic=deterministic,
        )
        return context
