"""Attentions of linear cost as Flax modules, with several heads."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from attn_jax import ops
from attn_jax.hooks import capture
from attn_jax.nn.attention import DType
from attn_jax.nn.multi_head import head_features
from attn_jax.ops.sub_quadratic.implied_weights import hide_keys

Operation = Callable[..., jax.Array]


class SubQuadraticAttention(nn.Module):
    """The base: projections to heads, and one attention of linear cost for all of them.

    Parameters are `query`, `key`, `value` and `out`, as those of :class:`MultiHeadAttention`, and
    the subclass's own. The hook points `query`, `key`, `value` and `context` are `(*b, h, tokens,
    d)`; `weights`, `(*b, h, q, k)`, are computed only if somebody captures or edits them.

    Attributes:
        num_heads: h.
        head_dim: d; the features of the query over `num_heads` if None.
        out_dim: Features of the output; those of the query if None.
        use_bias: Whether the projections have biases.
        dtype: In which type to compute, that of the query if None; parameters stay float32.
    """

    num_heads: int = 4
    head_dim: int | None = None
    out_dim: int | None = None
    use_bias: bool = True
    dtype: DType | None = None

    def operation(self, query: jax.Array, key: jax.Array) -> Operation:
        """The attention of `ops`, with its parameters."""
        raise NotImplementedError(f"{type(self).__name__} does not define operation(query, key).")

    @nn.compact
    def __call__(
        self,
        query: Float[Array, "*b q d_q"],
        key: Float[Array, "*b k d_k"] | None = None,
        value: Float[Array, "*b k d_v"] | None = None,
        *,
        mask: Bool[Array, "..."] | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "*b q d_out"]:
        """Attend.

        Args:
            query: `(*b, q, d_q)`.
            key: `(*b, k, d_k)`; the query if None (self-attention).
            value: `(*b, k, d_v)`; the key if None.
            mask: Broadcastable to `(*b, k)`; True = a real key.
            deterministic: Has no effect, as there is no dropout without a map.

        Returns:
            `(*b, q, out_dim)`.

        Raises:
            ValueError: If the heads do not divide the features, or shapes do not fit together.
            TypeError: If the mask is not boolean.
        """
        is_self = key is None
        key = query if key is None else key
        value = key if value is None else value
        key, value, mask = hide_keys(query, key, value, mask)
        project = functools.partial(
            nn.DenseGeneral, use_bias=self.use_bias, dtype=jnp.dtype(self.dtype or query.dtype)
        )
        heads = (self.num_heads, head_features(self.num_heads, self.head_dim, query.shape[-1]))
        projected = [
            jnp.moveaxis(project(heads, name=name)(x), -2, -3)
            for name, x in (("query", query), ("key", key), ("value", value))
        ]
        mask = None if mask is None else mask[..., None, :]
        context = self._attend(*projected, **self.masks(mask, is_self))
        context = jnp.moveaxis(context, -3, -2)
        return project(self.out_dim or query.shape[-1], axis=(-2, -1), name="out")(context)

    def masks(self, mask: jax.Array | None, is_self: bool) -> dict[str, jax.Array | None]:
        """The masks that the operation takes, by name."""
        return {"mask": mask}

    def _attend(
        self, query: jax.Array, key: jax.Array, value: jax.Array, **masks: jax.Array | None
    ) -> jax.Array:
        call = functools.partial(self.operation(query, key), **masks)
        if self.is_mutable_collection("intermediates"):
            _, captured = capture(call, "weights")(query, key, value)
            self.sow("intermediates", "weights", captured["weights"])
        return call(query, key, value)


class LinearAttention(SubQuadraticAttention):
    """Linear attention: :func:`attn_jax.ops.linear_attention`.

    Attributes:
        causal: Let each query see only the keys up to its own position.
        feature_map: From queries and keys to features that are not negative.

    Example:
        >>> x = jnp.ones((2, 5, 12))
        >>> model = LinearAttention(num_heads=3, causal=True)
        >>> model.apply(model.init(jax.random.key(0), x), x).shape
        (2, 5, 12)
    """

    causal: bool = False
    feature_map: Callable[[jax.Array], jax.Array] = ops.elu_plus_one

    def operation(self, query: jax.Array, key: jax.Array) -> Operation:
        """Linear attention."""
        return functools.partial(
            ops.linear_attention, feature_map=self.feature_map, causal=self.causal
        )


class PerformerAttention(SubQuadraticAttention):
    """FAVOR+: :func:`attn_jax.ops.performer_attention`.

    Attributes:
        num_features: m, the random directions; their number sets the error of the estimate.
        seed: Of the directions, which are drawn once and not learned.
        causal: Let each query see only the keys up to its own position.

    Example:
        >>> x = jnp.ones((2, 5, 12))
        >>> model = PerformerAttention(num_heads=3)
        >>> model.apply(model.init(jax.random.key(0), x), x).shape
        (2, 5, 12)
    """

    num_features: int = 128
    seed: int = 0
    causal: bool = False

    def operation(self, query: jax.Array, key: jax.Array) -> Operation:
        """FAVOR+ with the directions of the seed."""
        with jax.ensure_compile_time_eval():
            projection = ops.performer_projection(
                jax.random.key(self.seed), query.shape[-1], self.num_features
            )
        return functools.partial(ops.performer_attention, projection=projection, causal=self.causal)


class LinformerAttention(SubQuadraticAttention):
    """Linformer: :func:`attn_jax.ops.linformer_attention`.

    Parameters besides the projections: `w_key (k, p)`, `w_value (k, p)`, shared by the heads; they
    fix the number of keys.

    Attributes:
        num_combinations: p, to how many the keys are combined.

    Example:
        >>> x = jnp.ones((2, 5, 12))
        >>> model = LinformerAttention(num_heads=3, num_combinations=2)
        >>> model.apply(model.init(jax.random.key(0), x), x).shape
        (2, 5, 12)
    """

    num_combinations: int = 64

    def operation(self, query: jax.Array, key: jax.Array) -> Operation:
        """Linformer with its learned combinations."""
        initial, shape = nn.initializers.lecun_normal(), (key.shape[-2], self.num_combinations)
        return functools.partial(
            ops.linformer_attention,
            w_key=self.param("w_key", initial, shape, jnp.float32),
            w_value=self.param("w_value", initial, shape, jnp.float32),
        )


class NystromAttention(SubQuadraticAttention):
    """Nyströmformer: :func:`attn_jax.ops.nystrom_attention`.

    Attributes:
        num_landmarks: m.
        num_iterations: Of the pseudoinverse.

    Example:
        >>> x = jnp.ones((2, 5, 12))
        >>> model = NystromAttention(num_heads=3, num_landmarks=2)
        >>> model.apply(model.init(jax.random.key(0), x), x).shape
        (2, 5, 12)
    """

    num_landmarks: int = 64
    num_iterations: int = 6

    def operation(self, query: jax.Array, key: jax.Array) -> Operation:
        """Nyströmformer."""
        return functools.partial(
            ops.nystrom_attention,
            num_landmarks=self.num_landmarks,
            num_iterations=self.num_iterations,
        )

    def masks(self, mask: jax.Array | None, is_self: bool) -> dict[str, jax.Array | None]:
        """Keep the padding out of the queries' landmarks too, where the queries are the keys."""
        return {"mask": mask, "query_mask": mask if is_self else None}
