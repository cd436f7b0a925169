"""Who is translated from whom: the map of an encoder and a decoder, beside what is known."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from attn_jax.plot.checks import check_labels, weights_array
from attn_jax.plot.colours import INK, PAPER
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
    """Draws what each target token attended to in the source, and the links that are known.

    Args:
        weights: ``(target, source)``, of any two lengths.
        source: The tokens that were read, left to right.
        target: The tokens that were written, top to bottom.
        sure: ``(target, source)`` booleans, outlined by a solid line: links that must be there.
        possible: ``(target, source)`` booleans, outlined by a dashed line: links that may be.
        strongest: Whether to mark the strongest weight of each target token by a dot.
        vmax: The weight that gets the darkest colour; the largest one by default.
        normalized: Whether each row must sum to one (or be all zero).
        colorbar: Whether to draw the scale beside a figure of its own; never beside ``ax``.
        ax: Where to draw; a new figure by default.

    Returns:
        The figure.

    Raises:
        ValueError: If the weights are none, or tokens or links are of another size.

    Example:
        >>> from attn_jax import plot
        >>> figure = plot.alignment(
        ...     [[0.8, 0.2], [0.1, 0.9]], source=["la", "mer"], target=["the", "sea"],
        ...     sure=[[True, False], [False, True]],
        ... )
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
