"""A circuit as a graph: the parts of a model in rows, joined by their strongest edges."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

from attn_jax.plot.arrays import as_array
from attn_jax.plot.circuit_layout import Edge, Layout, Node, lay_out, part_of
from attn_jax.plot.colors import INK, MUTED, PAPER, RIGHT, RULE, WRONG
from attn_jax.plot.figure import canvas, plain, safe, style

_NODE_INCHES, _ROW_INCHES = 0.62, 0.62
# Half the height of a node, in rows, and where queries, keys and values enter it.
_HALF = 0.17
_PORTS = {"query": -0.24, "key": 0.0, "value": 0.24, "": 0.0}
_THINNEST, _WIDEST = 0.5, 4.5


def circuit(edges: Any, *, count: int = 30, ax: Axes | None = None) -> Figure:
    """Draw the strongest edges between the parts of a model, the first layer at the bottom.

    The width of an edge is its size; positive ones are blue, negative ones orange. Edges into a
    head end at `q`, `k` or `v`. Parts without a drawn edge are left out.

    Args:
        edges: The `EdgeScores` of `attn_jax.circuits`, or `(sender, receiver, number)` for each
            edge, with their names: `embedding`, `layers.0.heads.3`, `layers.1.heads.2.query`,
            `layers.1.mlp`, `logits`.
        count: The most edges to draw.
        ax: Axes to draw on; a new figure by default.

    Returns:
        The figure.

    Raises:
        ValueError: If there are no edges, a number is infinite, or an edge does not lead to a later
            part.

    Example:
        >>> from attn_jax import plot
        >>> edges = [
        ...     ("embedding", "layers.0.heads.1.value", 0.5),
        ...     ("layers.0.heads.1", "layers.1.heads.0.key", 2.0),
        ...     ("layers.1.heads.0", "logits", -1.0),
        ... ]
        >>> figure = plot.circuit(edges)
        >>> sorted(text.get_text() for text in figure.axes[0].texts)
        ['0.1', '1.0', 'embedding', 'k', 'layer 0', 'layer 1', 'logits', 'v']

    References:
        Syed, Rager and Conmy, "Attribution Patching Outperforms Automated Circuit Discovery", 2023,
        https://arxiv.org/abs/2310.10348, for graphs of edges and their scores.
    """
    chosen = _strongest(_edges(edges), count)
    layout = lay_out(chosen)
    size = (layout.width * _NODE_INCHES + 1.2, len(layout.rows) * _ROW_INCHES + 0.7)
    figure, axes = canvas(ax, size)
    style(axes, frame=False)
    axes.set(xlim=(-layout.width / 2 - 1, layout.width / 2), ylim=(-0.6, len(layout.rows) - 0.4))
    _draw_rows(axes, layout)
    largest = abs(chosen[0][2])
    for edge, path in zip(reversed(chosen), reversed(layout.paths), strict=True):
        _draw_edge(axes, edge, path, largest)
    for node in layout.nodes.values():
        _draw_node(axes, node)
    _draw_ports(axes, chosen, layout)
    _explain(axes, chosen)
    return figure


def _edges(edges: Any) -> list[Edge]:
    if not hasattr(edges, "senders"):
        return [(str(sender), str(receiver), float(number)) for sender, receiver, number in edges]
    values = np.asarray(as_array(edges.values, "edges.values"), np.float64)
    return [
        (edges.senders[s], edges.receivers[r], float(number))
        for (s, r), number in np.ndenumerate(values)
    ]


def _strongest(edges: Iterable[Edge], count: int) -> list[Edge]:
    real = [edge for edge in edges if edge[2] and not np.isnan(edge[2])]
    if not real or count < 1:
        raise ValueError(
            f"there are no edges to draw: {len(real)} are not zero, and count={count}."
        )
    for sender, receiver, number in real:
        if np.isinf(number):
            raise ValueError(f"the edge from {sender!r} to {receiver!r} is infinite.")
    return sorted(real, key=lambda edge: -abs(edge[2]))[:count]


def _color(number: float) -> str:
    return RIGHT if number > 0 else WRONG


def _width(number: float, largest: float) -> float:
    return max(_THINNEST, _WIDEST * abs(number) / largest)


def _draw_rows(ax: Axes, layout: Layout) -> None:
    """Write the number of each layer at the left, with a line below it."""
    left = -layout.width / 2 - 0.9
    last = len(layout.rows) - 1
    for row, (layer, _) in enumerate(layout.rows):
        is_first = row == 0 or layout.rows[row - 1][0] != layer
        names = [node.name for node in layout.nodes.values() if node.row == row]
        if is_first and row:
            ax.axhline(row - 0.5, color=RULE, linewidth=0.6, zorder=0)
        if is_first and any(any(c.isdigit() for c in name) for name in names):
            top = max(r for r in range(row, last + 1) if layout.rows[r][0] == layer)
            safe(
                ax.text(
                    left, (row + top) / 2, f"layer {layer}", fontsize=7, color=MUTED, va="center"
                )
            )


def _draw_edge(ax: Axes, edge: Edge, points: list[tuple[int, float]], largest: float) -> None:
    _, receiver, number = edge
    port = _PORTS[part_of(receiver)[1]]
    xs = [x for _, x in points]
    xs[-1] += port
    ys = [float(row) for row, _ in points]
    ys[0] += _HALF
    ys[-1] -= _HALF
    line = {"edgecolor": _color(number), "linewidth": _width(number, largest), "alpha": 0.75}
    ax.add_patch(PathPatch(_curve(xs, ys), facecolor="none", capstyle="round", zorder=1, **line))


def _curve(xs: list[float], ys: list[float]) -> Path:
    """Return a smooth line that is vertical at every point."""
    vertices: list[tuple[float, float]] = [(xs[0], ys[0])]
    for x0, y0, x1, y1 in zip(xs, ys, xs[1:], ys[1:], strict=False):
        bend = (y1 - y0) / 2
        vertices += [(x0, y0 + bend), (x1, y1 - bend), (x1, y1)]
    codes = [Path.MOVETO] + [Path.CURVE4] * (len(vertices) - 1)
    return Path(np.array(vertices), codes)


def _draw_node(ax: Axes, node: Node) -> None:
    text, half = _node_text(node.name), 0.4
    box = FancyBboxPatch(
        (node.x - half, node.row - _HALF),
        2 * half,
        2 * _HALF,
        boxstyle="round,pad=0,rounding_size=0.08",
        facecolor=PAPER,
        edgecolor=INK,
        linewidth=0.8,
        zorder=2,
    )
    ax.add_patch(box)
    label = {"ha": "center", "va": "center", "fontsize": 6.5 if len(text) > 6 else 7.5, "zorder": 3}
    safe(ax.text(node.x, node.row, text, color=INK, **label))


def _node_text(name: str) -> str:
    """Return the text of a node: `1.2` for the third head of the second layer."""
    numbers = [part for part in name.split(".") if part.isdigit()]
    if ".heads." in name and len(numbers) == 2:
        return ".".join(numbers)
    last = name.rpartition(".")[2]
    return "MLP" if last == "mlp" else plain(last, 11)


def _draw_ports(ax: Axes, edges: list[Edge], layout: Layout) -> None:
    for node, part in sorted({part_of(receiver) for _, receiver, _ in edges}):
        if part:
            x, y = layout.nodes[node].x + _PORTS[part] + 0.05, layout.nodes[node].row - _HALF - 0.02
            note = {"ha": "left", "va": "top", "fontsize": 5.5, "color": MUTED, "zorder": 3}
            safe(ax.text(x, y, part[0], **note))


def _explain(ax: Axes, edges: list[Edge]) -> None:
    """Write the largest edge of each sign above the figure."""
    largest = abs(edges[0][2])
    ends = [next((n for *_, n in edges if n * sign > 0), None) for sign in (1, -1)]
    lines: list[Any] = [
        Line2D(
            [],
            [],
            color=_color(n),
            linewidth=_width(n, largest),
            alpha=0.75,
            label=f"{n:+.3g}".replace("-", "\N{MINUS SIGN}"),
        )
        for n in ends
        if n is not None
    ]
    ax.legend(
        handles=lines,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=2,
        frameon=False,
        fontsize=7,
        labelcolor=INK,
        borderaxespad=0.1,
    )
