"""The figures of an image and a model's attention over it, for the page."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from attn_jax import plot
from attn_jax.plot.figure import Figure, style, title
from experiments.look.look import Choice, Pairs
from experiments.report import Sheet, Table
from experiments.report.figure_words import viewer_label, viewer_labels

_COLUMNS = 4
_FIRST = {"CLS": "the class token itself", "distillation": "the distillation token"}


class Sight(NamedTuple):
    """An image with a model's attention.

    Attributes:
        image: The image as the model sees it, `(height, width, 3)` bytes.
        grid: Rows and columns of its patches.
        before: The names of the tokens before the patches, the class token first.
        layers: The weights, `(heads, tokens, tokens)`, by name of layer.
    """

    image: np.ndarray
    grid: tuple[int, int]
    before: list[str]
    layers: dict[str, np.ndarray]

    @property
    def tokens(self) -> list[str]:
        """The names of all tokens."""
        rows, columns = self.grid
        places = [f"row {i}, column {j}" for i in range(rows) for j in range(columns)]
        return [*self.before, *places]

    @property
    def class_to_patches(self) -> np.ndarray:
        """What the class token gives to each patch, `(layers, heads, patches)`."""
        return np.stack([w[:, 0, len(self.before) :] for w in self.layers.values()])


def draw_sheets(sight: Sight, choice: Choice, classes: Pairs) -> Iterator[Sheet]:
    """Draw the figures of an image.

    Args:
        sight: The image with the attention.
        choice: The map in the figures.
        classes: The most probable classes with their probabilities, if the model has any.

    Yields:
        The figures in their order on the page.
    """
    if classes:
        table = Table(("class", "probability"), classes)
        yield Sheet("classes", "What it predicts", "The most probable classes.", table)
    yield _class_token(sight, choice)
    yield _viewer(sight, choice)
    yield _every_head(sight)


def _class_token(sight: Sight, choice: Choice) -> Sheet:
    name = list(sight.layers)[choice.layer]
    weights = sight.class_to_patches[choice.layer]
    shown = range(len(weights)) if choice.head is None else [choice.head]
    kinds = dict.fromkeys(_FIRST.get(token, "the registers") for token in sight.before)
    return Sheet(
        "class-token",
        f"{name.capitalize()}: what the class token looks at",
        "The image as the model sees it, and each head's attention over its patches. The number is "
        f"the share that goes to patches; {' and '.join(kinds)} gets the rest. The strongest color "
        "stands for the largest hundredth of the weights. --layer and --head choose another map.",
        _overlays(sight, {i: weights[i] for i in shown}),
    )


def _overlays(sight: Sight, weights: dict[int, np.ndarray]) -> Figure:
    """Draw the image in color, and in gray under the weights of each head."""
    rows = -(-(len(weights) + 1) // _COLUMNS)
    height, width = sight.image.shape[:2]
    figure = Figure((8.4, rows * (2.0 * height / width + 0.25)))
    first, *others = figure.subplots(rows, _COLUMNS, squeeze=False).flat
    style(first, frame=False).imshow(sight.image)
    title(first, "the image", fontsize=8)
    vmax = float(np.quantile(list(weights.values()), 0.99))
    for ax, (head, given) in zip(others, weights.items(), strict=False):
        plot.overlay(sight.image, given, sight.grid, vmax=vmax, normalized=False, ax=ax)
        title(ax, f"head {head}: {given.sum():.0%}", fontsize=8)
    for ax in others[len(weights) :]:
        ax.set_axis_off()
    return figure


def _viewer(sight: Sight, choice: Choice) -> Sheet:
    view = plot.viewer(
        viewer_labels(sight.layers),
        axes="hqk",
        tokens=sight.tokens,
        images=sight.image,
        grid=sight.grid,
        prefix_tokens=len(sight.before),
        title=viewer_label("The image"),
    )
    head = "mean" if choice.head is None else choice.head
    return Sheet(
        "viewer",
        "Look around",
        "Choose a layer and a head, and point at a patch, or at a token above the image, to see "
        "what it attends to and what attends to it.",
        view.select(view="image", layer=choice.layer, head=head, query=0),
    )


def _every_head(sight: Sight) -> Sheet:
    weights = sight.class_to_patches
    maps = weights.reshape(*weights.shape[:-1], *sight.grid)
    return Sheet(
        "heads",
        "Every head",
        "What the class token looks at in each layer and head, patch by patch, on one color scale. "
        "The darkest color stands for the largest hundredth of the weights.",
        plot.heads(maps, vmax=float(np.quantile(maps, 0.99)), normalized=False),
    )
