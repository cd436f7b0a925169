"""Multi-head attentions of linear cost as Flax modules."""

import functools
from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from attn_jax import ops
from attn_jax.hooks import capture
from attn_jax.nn.attention import sow
from attn_jax.nn.multi_head import MultiHead

Operation = Callable[..., jax.Array]


class SubQuadraticAttention(MultiHead):
    """The base of attentions of linear cost, which run all heads as one batch.

    The parameters are those of :class:`MultiHead` and the subclass's own. The hook points `query`,
    `key`, `value` and `context` are `(*b, h, tokens, d)`; `weights`, `(*b, h, q, k)`, are computed
    only if they are captured or edited. There are no scores, so `mask` and `bias` are refused; use
    `key_mask` to hide keys.
    """

    has_scores: ClassVar[bool] = False

    def operation(self, query: jax.Array, key: jax.Array) -> Operation:
        """Return the attention function of `ops`, bound to its parameters."""
        raise NotImplementedError(f"{type(self).__name__} does not define operation(query, key).")

    def attend_heads(
        self, heads: ops.Inputs, *, is_self: bool, deterministic: bool
    ) -> Float[Array, "*b q h e"]:
        """Attend with all heads; dropout does not apply, for the weights are never built."""
        query, key, value = (
            jnp.moveaxis(ops.share_heads(name, getattr(heads, name), self.num_heads), -2, -3)
            for name in ("query", "key", "value")
        )
        # Only a key_mask can have made this mask, (*b, 1, 1, k), so all queries share it.
        key_mask = None if heads.mask is None else heads.mask[..., 0, :]
        call = functools.partial(self.operation(query, key), **self.masks(key_mask, is_self))
        if self.is_mutable_collection("intermediates"):
            _, captured = capture(call, "weights")(query, key, value)
            sow(self, "weights", captured["weights"])
        return jnp.moveaxis(call(query, key, value), -3, -2)

    def masks(self, key_mask: jax.Array | None, is_self: bool) -> dict[str, jax.Array | None]:
        """Return the masks that the operation takes, by name."""
        return {"key_mask": key_mask}


class LinearAttention(SubQuadraticAttention):
    """Linear attention: :func:`attn_jax.ops.linear_attention`.

    Attributes:
        causal: Let each query see only the keys up to its own position.
        feature_map: Maps queries and keys to features that are not negative.

    Example:
        >>> x = jnp.ones((2, 5, 12))
        >>> model = LinearAttention(num_heads=3, causal=True)
        >>> model.apply(model.init(jax.random.key(0), x), x).shape
        (2, 5, 12)
    """

    causal: bool = False
    feature_map: Callable[[jax.Array], jax.Array] = ops.elu_plus_one

    def operation(self, query: jax.Array, key: jax.Array) -> Operation:
        """Return linear attention."""
        return functools.partial(
            ops.linear_attention, feature_map=self.feature_map, causal=self.causal
        )


class PerformerAttention(SubQuadraticAttention):
    """Performer attention (FAVOR+): :func:`attn_jax.ops.performer_attention`.

    Attributes:
        num_features: m, the number of random directions, which sets the error of the estimate.
        seed: The seed of the directions, which are drawn once and not learned.
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
        """Return FAVOR+ with the directions of the seed."""
        # Drawn while tracing, so that they are constants of the compiled program.
        with jax.ensure_compile_time_eval():
            projection = ops.performer_projection(
                query.shape[-1], self.num_features, rng=jax.random.key(self.seed)
            )
        return functools.partial(ops.performer_attention, projection=projection, causal=self.causal)


class LinformerAttention(SubQuadraticAttention):
    """Linformer attention: :func:`attn_jax.ops.linformer_attention`.

    Parameters besides the projections: `w_key (k, p)` and `w_value (k, p)`, shared by the heads.
    They fix the number of keys.

    Attributes:
        num_combinations: p, the number of combinations of the keys.

    Example:
        >>> x = jnp.ones((2, 5, 12))
        >>> model = LinformerAttention(num_heads=3, num_combinations=2)
        >>> model.apply(model.init(jax.random.key(0), x), x).shape
        (2, 5, 12)
    """

    num_combinations: int = 64

    def operation(self, query: jax.Array, key: jax.Array) -> Operation:
        """Return Linformer with its learned combinations."""
        initial, shape = nn.initializers.lecun_normal(), (key.shape[-2], self.num_combinations)
        return functools.partial(
            ops.linformer_attention,
            w_key=self.param("w_key", initial, shape, jnp.float32),
            w_value=self.param("w_value", initial, shape, jnp.float32),
        )


class NystromAttention(SubQuadraticAttention):
    """Nyströmformer attention: :func:`attn_jax.ops.nystrom_attention`.

    Attributes:
        num_landmarks: The number of landmarks, m.
        num_iterations: The iterations of the pseudoinverse.

    Example:
        >>> x = jnp.ones((2, 5, 12))
        >>> model = NystromAttention(num_heads=3, num_landmarks=2)
        >>> model.apply(model.init(jax.random.key(0), x), x).shape
        (2, 5, 12)
    """

    num_landmarks: int = 64
    num_iterations: int = 6

    def operation(self, query: jax.Array, key: jax.Array) -> Operation:
        """Return Nyströmformer."""
        return functools.partial(
            ops.nystrom_attention,
            num_landmarks=self.num_landmarks,
            num_iterations=self.num_iterations,
        )

    def masks(self, key_mask: jax.Array | None, is_self: bool) -> dict[str, jax.Array | None]:
        """Return the masks; in self-attention, padding enters no landmarks of queries either."""
        return {"key_mask": key_mask, "query_mask": key_mask if is_self else None}
