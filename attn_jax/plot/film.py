"""A map over the steps of training, side by side or animated."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.checks import weights_array
from attn_jax.plot.colors import ATTENTION
from attn_jax.plot.figure import plain, style, tiles, title
from attn_jax.plot.gold import draw_gold
from attn_jax.plot.heatmap import draw_heatmap, heatmap, hide
from attn_jax.plot.overlay import color_bar


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
    """Draw a map at several steps of training, side by side, on one color scale.

    Args:
        weights: `(steps, queries, keys)`.
        steps: Label of each map; 0, 1, 2 … by default.
        sure: `(queries, keys)` booleans: links to outline, as in `alignment`.
        possible: `(queries, keys)` booleans, with a dashed outline.
        frames: Largest number of maps to draw: the first, the last, and evenly between.
        columns: Number of maps in a row.
        unit: Unit of `steps`, as in `step 300`.
        vmax: Weight shown in the darkest color; the largest weight by default.
        normalized: Whether each row must sum to one (or be all zero).

    Returns:
        The figure.

    Raises:
        ValueError: If the weights are not valid, or `steps` does not fit them.

    Example:
        >>> import numpy as np
        >>> from attn_jax import plot
        >>> maps = [share * np.eye(6)[::-1] + (1 - share) / 6 for share in (0.0, 0.2, 0.6, 1.0)]
        >>> figure = plot.film(maps, steps=[0, 100, 200, 300])
        >>> [ax.get_title("left") for ax in figure.axes[:2]]
        ['step 0', 'step 100']
    """
    maps, names = _checked(weights, steps, unit, normalized)
    chosen = np.unique(np.linspace(0, len(maps) - 1, min(frames, len(maps))).round().astype(int))
    columns = min(columns, len(chosen))
    rows = -(-len(chosen) // columns)
    figure, axes, scale = tiles(rows, columns, aspect=maps.shape[1] / maps.shape[2])
    norm = Normalize(0.0, vmax or float(maps.max()) or 1.0)
    for ax in axes.flat[len(chosen) :]:
        style(ax, frame=False)
    for ax, number in zip(axes.flat, chosen, strict=False):
        draw_heatmap(ax, maps[number], norm)
        draw_gold(ax, maps[number].shape, sure=sure, possible=possible)
        title(ax, names[number], fontsize=8)
    color_bar(figure, ScalarMappable(norm, ATTENTION), cax=scale)
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
    """Write a map over the steps of training as an animation, a frame for each step.

    Args:
        weights: `(steps, queries, keys)`.
        path: File to write: `.gif`, or `.mp4`, which needs ffmpeg.
        steps: Label of each map; 0, 1, 2 … by default.
        unit: Unit of `steps`, as in `step 300`.
        fps: Frames per second.
        dpi: Pixels per inch.
        vmax: Weight shown in the darkest color; the largest weight by default.
        normalized: Whether each row must sum to one (or be all zero).
        **look: Options of `heatmap`: `queries`, `keys`, `mask`, `sure`, `possible`.

    Returns:
        The path.

    Raises:
        ValueError: If the weights are not valid, `steps` does not fit them, or the path has another
            ending.
        RuntimeError: If ffmpeg is needed but not installed.

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
    figure.set_layout_engine("none")  # every frame has the same layout
    with writer.saving(figure, path, dpi):
        for name, frame in zip(names, hide(maps, look.get("mask")), strict=True):
            heading.set_text(name)
            ax.images[0].set_data(frame)
            writer.grab_frame()
    return Path(path)


def _checked(
    weights: ArrayLike, steps: Sequence[object] | NDArray | None, unit: str, whole: bool
) -> tuple[NDArray[np.float64], list[str]]:
    maps = weights_array(weights, ("steps", "queries", "keys"), whole=whole)
    steps = range(len(maps)) if steps is None else steps
    if len(steps) != len(maps):
        raise ValueError(f"steps has {len(steps)} entries, but there are {len(maps)} maps.")
    return maps, [plain(f"{unit} {step}", max_length=24) for step in steps]


def _writer(path: Path, fps: int) -> Any:
    # Imported here because few figures need it.
    from matplotlib.animation import FFMpegWriter, PillowWriter

    if path.suffix == ".gif":
        return PillowWriter(fps=fps)
    if path.suffix != ".mp4":
        raise ValueError(f"path={path.name!r} ends in {path.suffix!r}; use '.gif' or '.mp4'.")
    if not FFMpegWriter.isAvailable():
        raise RuntimeError(
            f"{path.name!r} needs ffmpeg, which is not installed; write a .gif, or install it."
        )
    return FFMpegWriter(fps=fps)
