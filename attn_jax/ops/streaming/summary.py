"""Statistics of attention weights, in memory that grows with the tokens and not their square."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from attn_jax.hooks import entropy, top_k
from attn_jax.ops.masks import key_offsets


class AttentionSummary(NamedTuple):
    """The statistics that a :class:`Summary` selects; None where it does not select one.

    It is a pytree of arrays, so that it goes through `jit`, `scan` and `vmap`. A query that may
    attend to nothing has a log-normalizer and a largest score of minus infinity, and zeros else.

    Attributes:
        log_normalizer: The logarithm of each query's sum of exponentials (of a sink's too), so
            that a weight is `exp(score - log_normalizer)`.
        entropy: The entropy of each query's weights, in nats.
        max_logit: The largest score that each query may see.
        top_weights: The `n` largest weights of each query, the largest first.
        top_indices: Their keys; -1 where the weight is 0, as of a query that sees fewer than `n`.
        received: The weight that each key gets, summed over the queries.
        distance: Each query's mean distance to what it attends to, in tokens.
        pooled: The mean weight of each tile of the map; of `g` tiles over `t` tokens, tile `i`
            spans the tokens from `i * t // g` up to, not including, `(i + 1) * t // g`.
    """

    log_normalizer: Float[Array, "*b h q"]
    entropy: Float[Array, "*b h q"] | None = None
    max_logit: Float[Array, "*b h q"] | None = None
    top_weights: Float[Array, "*b h q n"] | None = None
    top_indices: Int[Array, "*b h q n"] | None = None
    received: Float[Array, "*b h k"] | None = None
    distance: Float[Array, "*b h q"] | None = None
    pooled: Float[Array, "*b h gq gk"] | None = None


@dataclasses.dataclass(frozen=True)
class Summary:
    """A choice of the fields of :class:`AttentionSummary`; the log-normalizer is always computed.

    It is a reducer as well: `capture(fn, {"*.summary": Summary(entropy=True)})` reads it off
    every fused attention of a model that was not built for it, and `{"*.weights": Summary(...)}`
    off any weights.

    Attributes:
        entropy: The entropy of each query's weights.
        max_logit: The largest score of each query.
        top_k: The number of largest weights of each query to keep, with their keys.
        received: The sum of the weights that each key gets.
        distance: The mean distance of each query to what it attends to.
        pooled: The tiles along queries and keys of the mean map.

    Raises:
        ValueError: If a number is negative or no number of tiles.

    Example:
        >>> Summary(entropy=True)(jnp.array([[0.5, 0.5], [1.0, 0.0]])).entropy.round(4)
        Array([0.6931, 0.    ], dtype=float32)
    """

    entropy: bool = False
    max_logit: bool = False
    top_k: int = 0
    received: bool = False
    distance: bool = False
    pooled: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that no attention can satisfy."""
        if self.top_k < 0:
            raise ValueError(f"top_k={self.top_k} must be a number of weights; 0 keeps none.")
        if self.pooled is not None and (len(self.pooled) != 2 or min(self.pooled) < 1):
            raise ValueError(
                f"pooled={self.pooled} must be two positive numbers of tiles, (along the queries, "
                "along the keys), as in (128, 128); None pools nothing."
            )

    @classmethod
    def all_of(cls, num_queries: int, num_keys: int) -> "Summary":
        """Select every field for so many queries and keys: top 8, and up to 128 × 128 tiles."""
        tiles = (min(128, num_queries), min(128, num_keys))
        flags = dict.fromkeys(("entropy", "max_logit", "received", "distance"), True)
        return cls(**flags, top_k=min(8, num_keys), pooled=tiles if min(tiles) else None)

    @property
    def needs_weights(self) -> bool:
        """Whether a selected field needs finished weights, and so a second pass."""
        return self.received or self.top_k > 0 or self.pooled is not None

    def check(self, num_queries: int, num_keys: int) -> None:
        """Refuse more top weights or tiles than so many queries and keys have.

        Raises:
            ValueError: If there are fewer keys than `top_k`, or fewer tokens than tiles.
        """
        if self.top_k > num_keys:
            raise ValueError(
                f"top_k={self.top_k} is more than the {num_keys} keys there are; "
                f"min({self.top_k}, num_keys) is the most."
            )
        sizes = (num_queries, num_keys)
        if self.pooled and any(g > t for g, t in zip(self.pooled, sizes, strict=True)):
            raise ValueError(
                f"pooled={self.pooled} asks for more tiles than the {num_queries} queries and "
                f"{num_keys} keys; a tile holds at least one of each."
            )

    def __call__(
        self, weights: Float[Array, "*b q k"], query_offset: int | Int[Array, "..."] = 0
    ) -> AttentionSummary:
        """Summarize weights that exist already, with their logarithms for scores.

        Args:
            weights: `(*b, q, k)`, each row a distribution, or zeros.
            query_offset: The position of the first query among the keys.
        """
        scores = jnp.where(weights > 0, jnp.log(jnp.where(weights > 0, weights, 1)), -jnp.inf)
        return self.of_scores(scores, weights, query_offset)

    def of_scores(
        self,
        scores: Float[Array, "*b q k"],
        weights: Float[Array, "*b q k"],
        query_offset: int | Int[Array, "..."] = 0,
        sinks: Float[Array, "..."] | None = None,
    ) -> AttentionSummary:
        """Summarize scores and weights: the definition of each field.

        Args:
            scores: `(*b, q, k)`; minus infinity where a query may not look.
            weights: `(*b, q, k)`.
            query_offset: The position of the first query among the keys.
            sinks: Scores that took part in the softmax beside the keys', `(*b, q or 1, 1)`.

        Returns:
            The summary, exact.

        Raises:
            ValueError: As :meth:`check` does.
        """
        num_queries, num_keys = weights.shape[-2:]
        self.check(num_queries, num_keys)
        total = jax.nn.logsumexp(scores, axis=-1)
        total = total if sinks is None else jnp.logaddexp(total, sinks[..., 0])
        fields: dict[str, Any] = {"log_normalizer": total}
        if self.entropy:
            fields["entropy"] = entropy(weights)
        if self.max_logit:
            fields["max_logit"] = scores.max(axis=-1)
        if self.top_k:
            largest, keys = top_k(self.top_k)(weights)
            fields |= {"top_weights": largest, "top_indices": jnp.where(largest > 0, keys, -1)}
        if self.received:
            fields["received"] = weights.sum(axis=-2)
        if self.distance:
            distance = jnp.abs(key_offsets(num_queries, num_keys, query_offset))
            shape = (1,) * (weights.ndim - distance.ndim) + distance.shape
            fields["distance"] = (weights * distance.astype(jnp.float32).reshape(shape)).sum(
                axis=-1
            )
        if self.pooled:
            fields["pooled"] = _pooled(weights, self.pooled)
        return AttentionSummary(**fields)

    def of_derived(
        self, derived: Any, leaf: str, operands: Mapping[str, jax.Array]
    ) -> AttentionSummary:
        """Summarize a fused call, which never holds its weights; see `hooks.SiteReducer`.

        Raises:
            ValueError: If the leaf is neither the weights nor the summary.
        """
        if leaf not in ("weights", "summary"):
            raise ValueError(f"a Summary is of weights or of a summary, not of {leaf!r}.")
        if hasattr(derived, "summarize"):
            return derived.summarize(self, operands)
        return self(derived.derive(leaf, operands))


def tile_of(token: jax.Array, num_tiles: int, num_tokens: int) -> jax.Array:
    """Return the tile that a token is in; see :class:`AttentionSummary`."""
    return jax.lax.div((token + 1) * num_tiles - 1, num_tokens)


def tile_areas(pooled: tuple[int, int], num_queries: int, num_keys: int) -> jax.Array:
    """Return the number of pairs in each tile."""
    sizes = [
        jnp.diff(jnp.arange(g + 1) * t // g)
        for g, t in zip(pooled, (num_queries, num_keys), strict=True)
    ]
    return (sizes[0][:, None] * sizes[1][None, :]).astype(jnp.float32)


def _pooled(weights: jax.Array, tiles: tuple[int, int]) -> jax.Array:
    """Return the mean weight of each tile."""
    sizes = weights.shape[-2:]
    rows, columns = (
        jax.nn.one_hot(tile_of(jnp.arange(t), g, t), g) for g, t in zip(tiles, sizes, strict=True)
    )
    total = jnp.einsum("...qk,qi,kj->...ij", weights, rows, columns)
    areas = tile_areas(tiles, *sizes)
    return total / areas.reshape((1,) * (total.ndim - 2) + areas.shape)
