"""Where the parts of a circuit stand: in rows from the first layer up, with few crossings."""

import dataclasses
import itertools
import re
from collections.abc import Sequence

Edge = tuple[str, str, float]
Place = tuple[int, int]
"""A layer, and 0 for attention or 1 for what follows it."""

_SWEEPS = 8
_LANE = 0.22
_PART = re.compile(r"\.(query|key|value)$")


@dataclasses.dataclass(frozen=True)
class Node:
    """A part of the model.

    Attributes:
        name: Its name, without `query`, `key` or `value`.
        row: Its row, from the bottom.
        x: Its place in the row, the middle of the figure being 0.
    """

    name: str
    row: int
    x: float


@dataclasses.dataclass(frozen=True)
class Layout:
    """A drawing of a circuit in units of a node's width.

    Attributes:
        nodes: The parts by name.
        rows: The place of each row.
        paths: For each edge the points `(row, x)` that it passes, from sender to receiver.
        width: The width of the widest row.
    """

    nodes: dict[str, Node]
    rows: list[Place]
    paths: list[list[tuple[int, float]]]
    width: float


def part_of(receiver: str) -> tuple[str, str]:
    """Return the name of a receiver's node, and `query`, `key`, `value` or nothing.

    Example:
        >>> part_of("layers.1.heads.2.query"), part_of("logits")
        (('layers.1.heads.2', 'query'), ('logits', ''))
    """
    match = _PART.search(receiver)
    return (receiver[: match.start()], match[1]) if match else (receiver, "")


def lay_out(edges: Sequence[Edge]) -> Layout:
    """Place the nodes of some edges.

    Raises:
        ValueError: If an edge does not lead to a later part.
    """
    pairs = [(sender, part_of(receiver)[0]) for sender, receiver, _ in edges]
    places = _places(pairs)
    rows = sorted(set(places.values()))
    row_of = {name: rows.index(place) for name, place in places.items()}
    # An edge over several rows passes each of them at a lane of its own, between the nodes.
    chains = [
        [(row_of[a], a), *((r, f"{i}") for r in range(row_of[a] + 1, row_of[b])), (row_of[b], b)]
        for i, (a, b) in enumerate(pairs)
    ]
    xs, width = _order(chains, len(rows))
    nodes = {name: Node(name, row, xs[row, name]) for name, row in row_of.items()}
    return Layout(nodes, rows, [[(r, xs[r, n]) for r, n in chain] for chain in chains], width)


def _places(pairs: Sequence[tuple[str, str]]) -> dict[str, Place]:
    numbers = {n: re.search(r"\d+", n) for pair in pairs for n in pair}
    receivers = {receiver for _, receiver in pairs}
    last = max([int(match[0]) for match in numbers.values() if match], default=-1) + 1
    places = {
        name: (int(match[0]), int(".heads." not in name))
        if match
        else ((last, 1) if name in receivers else (-1, 1))
        for name, match in numbers.items()
    }
    for sender, receiver in pairs:
        if places[sender] >= places[receiver]:
            raise ValueError(
                f"the edge from {sender!r} to {receiver!r} does not lead to a later part; names "
                "are those of circuits.edge_attribution, such as 'layers.0.heads.3'."
            )
    return places


def _order(
    chains: Sequence[Sequence[tuple[int, str]]], count: int
) -> tuple[dict[tuple[int, str], float], float]:
    """Return the x of each point, rows sorted by the mean of their neighbors, and the width."""
    rows: list[list[str]] = [[] for _ in range(count)]
    near: dict[tuple[int, str], list[tuple[int, str]]] = {}
    for chain in chains:
        for row, name in chain:
            if name not in rows[row]:
                rows[row].append(name)
        for low, high in itertools.pairwise(chain):
            near.setdefault(low, []).append(high)
            near.setdefault(high, []).append(low)
    for row in rows:
        row.sort(key=_natural)
    xs = {(r, n): x for r, row in enumerate(rows) for n, x in _spread(row)}
    for _ in range(_SWEEPS):
        for r, row in enumerate(rows):
            means = {n: sum(xs[p] for p in near[r, n]) / len(near[r, n]) for n in row}
            row.sort(key=lambda name: (means[name], _natural(name)))
            xs |= {(r, n): x for n, x in _spread(row)}
    width = max(
        2 * max(map(abs, (x for (r, _), x in xs.items() if r == row))) for row in range(count)
    )
    return xs, width + 1


def _natural(name: str) -> list[int | str]:
    return [(int(part) if part.isdigit() else part) for part in re.split(r"(\d+)", name)]


def _spread(row: Sequence[str]) -> list[tuple[str, float]]:
    """Return the names with their x: nodes take the width 1, lanes less."""
    widths = [_LANE if name.isdigit() else 1.0 for name in row]
    left, placed = -sum(widths) / 2, []
    for name, width in zip(row, widths, strict=True):
        placed.append((name, left + width / 2))
        left += width
    return placed
