"""Exact weights of a few queries, or of one tile of the map, when none were stored."""

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, Real

from attn_jax.ops.reference.operands import checked_call


def attention_rows(
    query: Real[Array, "*b q h d"],
    key: Real[Array, "*b k h_k d"],
    *,
    rows: Int[Array, " r"],
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    causal: bool = False,
    query_offset: int | Int[Array, "..."] = 0,
    window: int | tuple[int, int] | None = None,
    segment_ids: Int[Array, "..."] | tuple[Int[Array, "..."], Int[Array, "..."]] | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    sinks: Real[Array, " h"] | None = None,
) -> Float[Array, "*b h r k"]:
    r"""Return the weights of chosen queries, in memory that grows with their number times the keys.

    Args:
        query: `(*b, q, h, d)`.
        key: `(*b, k, h_k, d)`.
        rows: Which queries; they may be traced. One beyond the end is taken for the last.
        mask: As in :func:`attention`, like all that follow.
        bias: Added to the scores.
        key_mask: Which keys exist.
        causal: Hide the keys after a query.
        query_offset: The position of the first query among the keys.
        window: How far a query sees to the left and to the right.
        segment_ids: Which queries and keys belong together.
        scale: Multiplies the inner products; :math:`1/\sqrt{d}` if None.
        softcap: The bound of the scaled products.
        sinks: One score for each head that attends to nothing.

    Returns:
        `(*b, h, r, k)`, each row as the whole map would have it.

    Raises:
        ValueError: If shapes do not fit together, an option is out of range, or a row is
            known not to exist.
        TypeError: If the mask is not boolean.

    Example:
        >>> x = jnp.ones((5, 2, 4))
        >>> attention_rows(x, x, rows=jnp.array([1, 3]), causal=True)[0].tolist()
        [[0.5, 0.5, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25, 0.0]]
    """
    call = checked_call(
        query,
        key,
        key,
        mask=mask,
        bias=bias,
        key_mask=key_mask,
        segment_ids=segment_ids,
        causal=causal,
        query_offset=query_offset,
        window=window,
        scale=scale,
        softcap=softcap,
        sinks=sinks,
    )
    if rows.size and not isinstance(rows, Tracer):
        _check_inside("rows", int(rows.min()), int(rows.max()) + 1, query, "queries")

    def of_row(row: jax.Array) -> jax.Array:
        operands = call.formula.rows(call.operands, row, 1)
        return call.formula.derive("weights", operands)[..., 0, :]

    return jax.vmap(of_row, out_axes=-2)(rows)


def attention_tile(
    query: Real[Array, "*b q h d"],
    key: Real[Array, "*b k h_k d"],
    *,
    log_normalizer: Float[Array, "*b h q"],
    rows: tuple[int, int],
    columns: tuple[int, int],
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    causal: bool = False,
    query_offset: int | Int[Array, "..."] = 0,
    window: int | tuple[int, int] | None = None,
    segment_ids: Int[Array, "..."] | tuple[Int[Array, "..."], Int[Array, "..."]] | None = None,
    scale: float | None = None,
    softcap: float | None = None,
) -> Float[Array, "*b h r c"]:
    r"""Return the weights of one tile of the map, given the log-normalizer that a summary stored.

    .. math:: w_{ij} = \exp(s_{ij} - \text{log-normalizer}_i)

    The cost is that of the tile alone, so that a viewer can zoom into a map that was never held.

    Args:
        query: `(*b, q, h, d)`.
        key: `(*b, k, h_k, d)`.
        log_normalizer: `(*b, h, q)`, of the same call's `AttentionSummary`; a sink is in it.
        rows: The first query of the tile and the first one after it.
        columns: The first key of the tile and the first one after it.
        mask: As in :func:`attention`, like all that follow; of the whole map, not of the tile.
        bias: Added to the scores.
        key_mask: Which keys exist.
        causal: Hide the keys after a query.
        query_offset: The position of the first query among the keys.
        window: How far a query sees to the left and to the right.
        segment_ids: Which queries and keys belong together.
        scale: Multiplies the inner products; :math:`1/\sqrt{d}` if None.
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
        >>> _, summary = streaming_attention(x, x, x, causal=True, summary=Summary())
        >>> options = {"log_normalizer": summary.log_normalizer, "causal": True}
        >>> tile = attention_tile(x, x, rows=(1, 3), columns=(0, 2), **options)
        >>> tile[0].round(3).tolist()
        [[0.5, 0.5], [0.333..., 0.333...]]
    """
    call = checked_call(
        query,
        key,
        key,
        mask=mask,
        bias=bias,
        key_mask=key_mask,
        segment_ids=segment_ids,
        causal=causal,
        query_offset=query_offset,
        window=window,
        scale=scale,
        softcap=softcap,
        sinks=None,
    )
    _check_inside("rows", *rows, query, "queries")
    _check_inside("columns", *columns, key, "keys")
    expected = (*query.shape[:-3], query.shape[-2], query.shape[-3])
    if log_normalizer.shape != expected:
        raise ValueError(
            f"log_normalizer has shape {log_normalizer.shape} and should be (*batch, heads, "
            f"queries) = {expected}, as in the summary of the same call."
        )
    formula = call.formula
    of_rows = formula.rows(call.operands, rows[0], rows[1] - rows[0])
    tile = formula.columns(of_rows, columns[0], columns[1] - columns[0])
    scores, visible = formula.derive("scores", tile), formula.visible(tile)
    shift = log_normalizer[..., rows[0] : rows[1], None]
    # An empty row, whose log-normalizer is minus infinity, sees nothing anyway.
    weights = jnp.exp(scores - jnp.where(shift > -jnp.inf, shift, 0))
    weights = jnp.where(scores > -jnp.inf, weights, 0)
    return weights if visible is None else jnp.where(visible, weights, 0)


def _check_inside(name: str, start: int, stop: int, tokens: jax.Array, kind: str) -> None:
    if not 0 <= start < stop <= tokens.shape[-3]:
        raise ValueError(
            f"{name} go from {start} up to {stop}, which is not a part of the {tokens.shape[-3]} "
            f"{kind}; 0 <= start < stop <= {tokens.shape[-3]}."
        )
