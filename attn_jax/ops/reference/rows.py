"""Exact weights of some queries, or of one tile of the map, of an attention that stored none."""

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from attn_jax.ops.reference.derived import AttentionSite, Operands
from attn_jax.ops.reference.operands import (
    aligned_operands,
    attention_site,
    check_heads,
    segment_operands,
)


def attention_rows(
    query: Float[Array, "*b q h d"],
    key: Float[Array, "*b k h_k d"],
    *,
    rows: Int[Array, " r"],
    mask: Bool[Array, "..."] | None = None,
    bias: Float[Array, "..."] | None = None,
    causal: bool = False,
    query_offset: int | Int[Array, ""] = 0,
    window: int | tuple[int, int] | None = None,
    segment_ids: Int[Array, "..."] | tuple[Int[Array, "..."], Int[Array, "..."]] | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    sinks: Float[Array, " h"] | None = None,
) -> Float[Array, "*b h r k"]:
    """Give the weights of chosen queries, in memory that grows with their number times the keys.

    Args:
        query: `(*b, q, h, d)`.
        key: `(*b, k, h_k, d)`.
        rows: Which queries; they may be traced. One beyond the end is taken for the last.
        mask: As in :func:`attention`, like all that follow.
        bias: Added to the scores.
        causal: Hide the keys after a query.
        query_offset: The position of the first query among the keys.
        window: How far a query sees to the left and to the right.
        segment_ids: As in :func:`streaming_attention`.
        scale: What multiplies the inner products.
        softcap: The bound of the scaled products.
        sinks: One score for each head that attends to nothing.

    Returns:
        `(*b, h, r, k)`, each row as the whole map would have it.

    Raises:
        ValueError: If shapes do not fit together, an option is out of range, or a query is
            asked for that is known not to exist.
        TypeError: If the mask is not boolean.

    Example:
        >>> x = jnp.ones((5, 2, 4))
        >>> attention_rows(x, x, rows=jnp.array([1, 3]), causal=True)[0].tolist()
        [[0.5, 0.5, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25, 0.0]]
    """
    site = attention_site(scale, softcap, causal, window)
    operands = _operands(site, query, key, query_offset, segment_ids, mask, bias, sinks)
    if not isinstance(rows, Tracer):
        _check_inside(
            "rows", int(rows.min(initial=0)), int(rows.max(initial=0)) + 1, query, "queries"
        )

    def of_row(row: jax.Array) -> jax.Array:
        return site.derive("weights", site.rows(operands, row, 1))[..., 0, :]

    return jax.vmap(of_row, out_axes=-2)(rows)


def attention_tile(
    query: Float[Array, "*b q h d"],
    key: Float[Array, "*b k h_k d"],
    *,
    log_normalizer: Float[Array, "*b h q"],
    rows: tuple[int, int],
    columns: tuple[int, int],
    mask: Bool[Array, "..."] | None = None,
    bias: Float[Array, "..."] | None = None,
    causal: bool = False,
    query_offset: int | Int[Array, ""] = 0,
    window: int | tuple[int, int] | None = None,
    segment_ids: Int[Array, "..."] | tuple[Int[Array, "..."], Int[Array, "..."]] | None = None,
    scale: float | None = None,
    softcap: float | None = None,
) -> Float[Array, "*b h r c"]:
    r"""Give the weights of one tile of the map, from the log-normaliser that a summary stored.

    .. math:: w_{ij} = \exp(s_{ij} - \text{log-normaliser}_i)

    The cost is that of the tile alone, so that a viewer can zoom into a map that was never held.

    Args:
        query: `(*b, q, h, d)`.
        key: `(*b, k, h_k, d)`.
        log_normalizer: `(*b, h, q)`, of the same call's `AttentionSummary`; a sink is in it.
        rows: From which query on, and up to which, that one not included.
        columns: The same of the keys.
        mask: As in :func:`attention`, like all that follow; of the whole map, not of the tile.
        bias: Added to the scores.
        causal: Hide the keys after a query.
        query_offset: The position of the first query among the keys.
        window: How far a query sees to the left and to the right.
        segment_ids: As in :func:`streaming_attention`.
        scale: What multiplies the inner products.
        softcap: The bound of the scaled products.

    Returns:
        `(*b, h, rows, columns)`.

    Raises:
        ValueError: If shapes do not fit together, an option is out of range, or the tile is empty
            or goes beyond the map.
        TypeError: If the mask is not boolean.

    Example:
        >>> from attn_jax.ops import streaming_attention, Summary
        >>> x = jnp.ones((5, 2, 4))
        >>> _, found = streaming_attention(x, x, x, causal=True, summary=Summary())
        >>> known = {"log_normalizer": found.log_normalizer, "causal": True}
        >>> tile = attention_tile(x, x, rows=(1, 3), columns=(0, 2), **known)
        >>> tile[0].round(3).tolist()
        [[0.5, 0.5], [0.333..., 0.333...]]
    """
    site = attention_site(scale, softcap, causal, window)
    operands = _operands(site, query, key, query_offset, segment_ids, mask, bias, None)
    _check_inside("rows", *rows, query, "queries")
    _check_inside("columns", *columns, key, "keys")
    wanted = (*query.shape[:-3], query.shape[-2], query.shape[-3])
    if log_normalizer.shape != wanted:
        raise ValueError(
            f"log_normalizer has shape {log_normalizer.shape} and should be (*batch, heads, "
            f"queries) = {wanted}, as in the summary of the same call."
        )
    rows_here = site.rows(operands, rows[0], rows[1] - rows[0])
    tile = site.columns(rows_here, columns[0], columns[1] - columns[0])
    scores, visible = site.derive("scores", tile), site.visible(tile)
    of_rows = log_normalizer[..., rows[0] : rows[1], None]
    # An empty row, whose log-normaliser is minus infinity, sees nothing anyway.
    weights = jnp.exp(scores - jnp.where(of_rows > -jnp.inf, of_rows, 0))
    weights = jnp.where(scores > -jnp.inf, weights, 0)
    return weights if visible is None else jnp.where(visible, weights, 0)


def _operands(
    site: AttentionSite,
    query: jax.Array,
    key: jax.Array,
    query_offset: int | jax.Array,
    segment_ids: jax.Array | tuple[jax.Array, jax.Array] | None,
    mask: jax.Array | None,
    bias: jax.Array | None,
    sinks: jax.Array | None,
) -> Operands:
    check_heads(query, key, key)
    optional = {"mask": mask, "bias": bias, "sinks": sinks}
    aligned = aligned_operands(site, query, key.shape[-3], query_offset, **optional)
    segments = segment_operands(query, key, segment_ids)
    return {"query": query, "key": key} | aligned | segments


def _check_inside(name: str, start: int, stop: int, tokens: jax.Array, kind: str) -> None:
    if not 0 <= start < stop <= tokens.shape[-3]:
        raise ValueError(
            f"{name} go from {start} up to {stop}, which is not a part of the {tokens.shape[-3]} "
            f"{kind}; 0 <= start < stop <= {tokens.shape[-3]}."
        )
