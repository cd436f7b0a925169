"""A drawing of bags of images, each image above its share of the bag's attention."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from attn_jax.plot.colors import ATTENTION, INK, MUTED, TRUTH


def draw_bags(bags: Mapping[str, np.ndarray], logits: np.ndarray, weights: np.ndarray) -> Figure:
    """Draw one row for each bag.

    Args:
        bags: Arrays `image` (n, k, height, width), `present` and `instance` (n, k), `label` (n,).
        logits: The model's logits, (n, 2).
        weights: The attention to each image, (n, k).

    Returns:
        The figure.
    """
    rows, columns = len(bags["label"]), int(bags["present"].any(0).sum())
    figure = Figure(figsize=(0.56 * columns + 1.6, 0.86 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for row in range(rows):
        label = "positive" if bags["label"][row] else "negative"
        prediction = "positive" if logits[row].argmax() else "negative"
        axes[row, 0].set_ylabel(
            f"{label}\npredicted {prediction}",
            rotation=0,
            ha="right",
            va="center",
            fontsize=8,
            color=INK,
        )
        for column in range(columns):
            cell = axes[row, column]
            cell.set(xticks=[], yticks=[])
            cell.spines[:].set_visible(False)
            if bags["present"][row, column]:
                share = weights[row, column]
                cell.imshow(bags["image"][row, column], cmap="gray_r")
                cell.set_xlabel(f"{share:.0%}", fontsize=7, color=INK if share > 0.1 else MUTED)
                cell.spines["bottom"].set(visible=True, color=ATTENTION(share), linewidth=4)
            if bags["instance"][row, column]:
                cell.spines[["top", "left", "right"]].set(visible=True, color=TRUTH, linewidth=1.6)
    return figure
