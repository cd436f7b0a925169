"""Draws bags of images, each image over its share of the bag's attention."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from attn_jax.plot.colours import ATTENTION, INK, MUTED, TRUTH


def draw_bags(bags: Mapping[str, np.ndarray], logits: np.ndarray, weights: np.ndarray) -> Figure:
    """Draws a row for each bag.

    Args:
        bags: ``image`` (n, k, height, width), ``present`` and ``instance`` (n, k), ``label`` (n,).
        logits: (n, 2).
        weights: (n, k).

    Returns:
        The figure.
    """
    rows, columns = len(bags["label"]), int(bags["present"].any(0).sum())
    figure = Figure(figsize=(0.56 * columns + 1.6, 0.86 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for row in range(rows):
        kind = "positive" if bags["label"][row] else "negative"
        judged = "positive" if logits[row].argmax() else "negative"
        axes[row, 0].set_ylabel(
            f"{kind}\njudged {judged}", rotation=0, ha="right", va="center", fontsize=8, color=INK
        )
        for column in range(columns):
            shown = axes[row, column]
            shown.set(xticks=[], yticks=[])
            shown.spines[:].set_visible(False)
            if bags["present"][row, column]:
                share = weights[row, column]
                shown.imshow(bags["image"][row, column], cmap="gray_r")
                shown.set_xlabel(f"{share:.0%}", fontsize=7, color=INK if share > 0.1 else MUTED)
                shown.spines["bottom"].set(visible=True, color=ATTENTION(share), linewidth=4)
            if bags["instance"][row, column]:
                shown.spines[["top", "left", "right"]].set(visible=True, color=TRUTH, linewidth=1.6)
    return figure
