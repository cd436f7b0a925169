"""One map over the steps of training: a strip of it, or a moving picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.checks import weights_array
from attn_jax.plot.colours import ATTENTION
from attn_jax.plot.figure import plain, style, tiles, title
from attn_jax.plot.gold import draw_gold
from attn_jax.plot.heatmap import draw_heatmap, heatmap, hide
from attn_jax.plot.overlay import colour_scale


def film(
    weights: ArrayLike,
    *,
    steps: Sequence[object] | NDArray | None = None,
    sure: ArrayLike | None = None,
    possible: ArrayLike | None = None,
    frames: int = 8,
    columns: int = 8,
    unit: str = "step",
    vmax: float | None = None,
    normalized: bool = True,
) -> Figure:
    """Draws a map as it was at some steps of training, side by side, on one colour scale.

    Args:
        weights: ``(steps, queries, keys)``.
        steps: What to call each map, 0, 1, 2 … by default.
        sure: ``(queries, keys)`` booleans: links to outline, as in :func:`alignment`.
        possible: The same, dashed.
        frames: How many of the maps to draw at most: the first, the last, and evenly between.
        columns: Maps beside each other.
        unit: What ``steps`` counts.
        vmax: The weight that gets the darkest colour; the largest one by default.
        normalized: Whether each row must sum to one (or be all zero).

    Returns:
        The figure.

    Raises:
        ValueError: If the weights are none, or there is another number of steps.

    Example:
        >>> from attn_jax import plot
        >>> figure = plot.film([[[0.5, 0.5]], [[0.1, 0.9]]], steps=[0, 300])
        >>> [ax.get_title("left") for ax in figure.axes[:2]]
        ['step 0', 'step 300']
    """
    maps, names = _checked(weights, steps, unit, normalized)
    shown = np.unique(np.linspace(0, len(maps) - 1, min(frames, len(maps))).round().astype(int))
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes, scale = tiles(rows, columns, aspect=maps.shape[1] / maps.shape[2])
    norm = Normalize(0.0, vmax or float(maps.max()) or 1.0)
    for ax in axes.flat[len(shown) :]:
        style(ax, frame=False)
    for ax, at in zip(axes.flat, shown, strict=False):
        draw_heatmap(ax, maps[at], norm)
        draw_gold(ax, maps[at].shape, sure=sure, possible=possible)
        title(ax, names[at], fontsize=8)
    colour_scale(figure, ScalarMappable(norm, ATTENTION), at=scale)
    return figure


def animate(
    weights: ArrayLike,
    path: str | Path,
    *,
    steps: Sequence[object] | NDArray | None = None,
    unit: str = "step",
    fps: int = 4,
    dpi: float = 100.0,
    vmax: float | None = None,
    normalized: bool = True,
    **look: Any,
) -> Path:
    """Writes a map over the steps of training as a moving picture, a frame for each.

    Args:
        weights: ``(steps, queries, keys)``.
        path: Where to write: ``.gif``, or ``.mp4``, for which ffmpeg must be installed.
        steps: What to call each map, 0, 1, 2 … by default.
        unit: What ``steps`` counts.
        fps: Frames a second.
        dpi: Pixels an inch.
        vmax: The weight that gets the darkest colour; the largest one by default.
        normalized: Whether each row must sum to one (or be all zero).
        **look: Options of :func:`heatmap`: ``queries``, ``keys``, ``mask``, ``sure``, ``possible``.

    Returns:
        The path.

    Raises:
        ValueError: If the weights are none, there is another number of steps, or the path ends in
            something else.
        RuntimeError: If ffmpeg is needed and not there.

    Example:
        >>> import pathlib, tempfile
        >>> from attn_jax import plot
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = plot.animate([[[0.5, 0.5]], [[0.1, 0.9]]], pathlib.Path(folder, "film.gif"))
        ...     path.read_bytes()[:6]
        b'GIF89a'
    """
    maps, names = _checked(weights, steps, unit, normalized)
    writer = _writer(Path(path), fps)
    vmax = vmax or float(maps.max()) or 1.0
    figure = heatmap(maps[0], annotate=False, vmax=vmax, normalized=normalized, **look)
    ax = figure.axes[0]
    heading = title(ax, names[0])
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # every frame has its parts in the same places
    with writer.saving(figure, path, dpi):
        for name, shown in zip(names, hide(maps, look.get("mask")), strict=True):
            heading.set_text(name)
            ax.images[0].set_data(shown)
            writer.grab_frame()
    return Path(path)


def _checked(
    weights: ArrayLike, steps: Sequence[object] | NDArray | None, unit: str, whole: bool
) -> tuple[NDArray[np.float64], list[str]]:
    maps = weights_array(weights, ("steps", "queries", "keys"), whole=whole)
    steps = range(len(maps)) if steps is None else steps
    if len(steps) != len(maps):
        raise ValueError(f"steps has {len(steps)} entries, but there are {len(maps)} maps.")
    return maps, [plain(f"{unit} {step}", longest=24) for step in steps]


def _writer(path: Path, fps: int) -> Any:
    # Imported here: few who draw figures need it.
    from matplotlib.animation import FFMpegWriter, PillowWriter

    if path.suffix == ".gif":
        return PillowWriter(fps=fps)
    if path.suffix != ".mp4":
        raise ValueError(f"path={path.name!r} ends in {path.suffix!r}; give '.gif' or '.mp4'.")
    if not FFMpegWriter.isAvailable():
        raise RuntimeError(f"{path.name!r} needs ffmpeg, which is not installed; write a .gif.")
    return FFMpegWriter(fps=fps)
