"""Attention between source and target tokens, with known alignment links."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from attn_jax.plot.checks import check_labels, weights_array
from attn_jax.plot.colors import INK, PAPER
from attn_jax.plot.gold import explain
from attn_jax.plot.heatmap import heatmap


def alignment(
    weights: ArrayLike,
    *,
    source: Sequence[object],
    target: Sequence[object],
    sure: ArrayLike | None = None,
    possible: ArrayLike | None = None,
    strongest: bool = True,
    vmax: float | None = None,
    normalized: bool = True,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Figure:
    """Draw how much each target token attended to each source token, with known links.

    Args:
        weights: `(target, source)`, of any two lengths.
        source: Source tokens, left to right.
        target: Target tokens, top to bottom.
        sure: `(target, source)` booleans, outlined with a solid line: links that must be there.
        possible: `(target, source)` booleans, outlined with a dashed line: links that may be there.
        strongest: Whether to mark the largest weight of each target token with a dot.
        vmax: Weight shown in the darkest color; the largest weight by default.
        normalized: Whether each row must sum to one (or be all zero).
        colorbar: Whether to draw a color bar; never drawn when `ax` is given.
        ax: Axes to draw on; a new figure by default.

    Returns:
        The figure.

    Raises:
        ValueError: If the weights are not valid, or the tokens or links do not fit them.

    Example:
        >>> from attn_jax import plot
        >>> weights = [[0.8, 0.1, 0.1], [0.2, 0.1, 0.7], [0.0, 0.9, 0.1]]
        >>> links = [[True, False, False], [False, False, True], [False, True, False]]
        >>> french, english = ["la", "maison", "vide"], ["the", "empty", "house"]
        >>> figure = plot.alignment(weights, source=french, target=english, sure=links)
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['sure link', 'strongest weight']

    References:
        F. J. Och and H. Ney, "A Systematic Comparison of Various Statistical Alignment Models",
        Computational Linguistics 29 (2003), for sure and possible links.
    """
    weights = weights_array(weights, ("target", "source"), whole=normalized)
    check_labels(weights.shape, target=target, source=source)
    figure = heatmap(
        weights,
        queries=target,
        keys=source,
        sure=sure,
        possible=possible,
        annotate=False,
        vmax=vmax,
        normalized=normalized,
        colorbar=colorbar,
        ax=ax,
    )
    axes = ax or figure.axes[0]
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("source", fontsize=8, color=INK)
    axes.set_ylabel("target", fontsize=8, color=INK)
    if strongest:
        rows = np.flatnonzero(weights.any(1))
        dot = {"color": PAPER, "markeredgecolor": INK, "markersize": 3.4, "markeredgewidth": 0.8}
        axes.plot(weights[rows].argmax(1), rows, "o", label="strongest weight", **dot)
    explain(axes)
    return figure
