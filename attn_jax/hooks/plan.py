"""The requests and edits of one call, matched against the hook points that exist."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
from jax import Array

from attn_jax.hooks import patterns
from attn_jax.hooks.patterns import HookError, Selection
from attn_jax.hooks.points import Block, HookPoint

Reducer = Callable[[Array], Any]
"""Maps the value of one hook point, at one step of each loop around it, to any pytree."""

Spec = str | Sequence[str] | Mapping[str, Reducer | None]
"""A glob, several globs, or a reducer for each glob (None keeps the values as they are)."""


@dataclasses.dataclass(frozen=True)
class Site:
    """The place of an edit.

    Attributes:
        name: The name of the hook point, with the steps that the pattern selects written out.
        index: The current step of each loop around the value, the outermost first, as a traced
            integer; for `shard_map` the number of the device.
        point: The hook point itself.
        visible: A function without arguments. At weights it returns True where the masks of the
            call let a query look, as an array that broadcasts to the weights; None at a tap that
            carries no masks.
    """

    name: str
    index: tuple[Array, ...]
    point: HookPoint
    visible: Callable[[], Array | None] = lambda: None


EditFunction = Callable[[Array, Site], Array]
"""Maps a value and its site to its replacement, of the same shape and dtype."""


@dataclasses.dataclass(frozen=True)
class Request:
    """An entry of the captured values: its key, its selection of steps and its reducer."""

    key: str
    selection: Selection
    reduce: Reducer | None


@dataclasses.dataclass(frozen=True)
class Edit:
    """A function to apply to a value, at the selected steps of the loops around it."""

    name: str
    selection: Selection
    function: EditFunction


@dataclasses.dataclass(frozen=True)
class Plan:
    """The requests and edits at each hook point, by its name."""

    requests: Mapping[str, Sequence[Request]]
    edits: Mapping[str, Sequence[Edit]]

    def prune(self, block: Block) -> Block:
        """Return the part of a block that has requests or edits.

        Only these equations run one by one; the interpreter replays the others in stretches.
        """
        names = self.requests.keys() | self.edits.keys()
        taps = {i: p for i, p in block.taps.items() if names & {point.name for point in p}}
        inner = {i: tuple(map(self.prune, blocks)) for i, blocks in block.inner.items()}
        return Block(taps, {i: blocks for i, blocks in inner.items() if any(blocks)})

    def selects_step(self, depth: int) -> bool:
        """Whether any request selects one step of a loop at this depth."""
        return any(
            request.selection[depth : depth + 1] not in ((), (None,))
            for requests in self.requests.values()
            for request in requests
        )

    def selection(self, key: str) -> Selection:
        """Return the selection of a captured entry, or of its flag `key?`."""
        return next(
            request.selection
            for requests in self.requests.values()
            for request in requests
            if request.key == key.removesuffix("?")
        )


def parse_spec(spec: Spec) -> dict[str, Reducer | None]:
    """Return a spec as a mapping from globs to reducers.

    Raises:
        HookError: If the spec is empty.
    """
    globs = [spec] if isinstance(spec, str) else spec
    reducers = dict(globs) if isinstance(globs, Mapping) else dict.fromkeys(globs)
    if not reducers:
        raise HookError(
            f"the spec {spec!r} names no hook points; '*' names all of them, and "
            "hook_points(fn)(*args) lists them."
        )
    return reducers


def make_plan(
    points: Iterable[HookPoint],
    reducers: Mapping[str, Reducer | None],
    edits: Mapping[str, EditFunction],
) -> Plan:
    """Match the globs of a call against the hook points that exist.

    Raises:
        HookError: If a glob matches no hook point, or one that is out of reach.
    """
    by_name = {point.name: point for point in points}
    requests: dict[str, list[Request]] = {}
    keys = set[str]()
    for pattern, reduce in reducers.items():
        for point, selection in _matches(pattern, by_name, "capture"):
            key = patterns.key(point.name, selection)
            if key not in keys:  # the first pattern that gives a key decides its reducer
                keys.add(key)
                request = Request(key, point.align(selection), reduce)
                requests.setdefault(point.name, []).append(request)
    edits_by_name: dict[str, list[Edit]] = {}
    for pattern, function in edits.items():
        matches = _matches(pattern, by_name, "edit")
        if check := getattr(function, "check_points", None):
            check([name for match in matches for name in _steps(*match)])
        for point, selection in matches:
            edit = Edit(patterns.key(point.name, selection), point.align(selection), function)
            edits_by_name.setdefault(point.name, []).append(edit)
    return Plan(requests, edits_by_name)


def _steps(point: HookPoint, selection: Selection) -> list[str]:
    """Return the names of a hook point at each selected step of the loops around it."""
    steps = [
        range(length) if step is None else [step]
        for length, step in zip(point.lengths, selection, strict=True)
    ]
    return [patterns.key(point.name, each) for each in itertools.product(*steps)]


def _matches(
    pattern: str, by_name: Mapping[str, HookPoint], verb: str
) -> list[tuple[HookPoint, Selection]]:
    matches = [
        (point, selection)
        for point in by_name.values()
        for selection in patterns.match(pattern, point.name, point.lengths)
        if not (point.is_observation and pattern.endswith("*"))
    ]
    if not matches:
        raise patterns.no_match(pattern, by_name)
    for point, _ in matches:
        reason = point.hidden or (verb == "edit" and point.frozen)
        if reason:
            raise HookError(f"cannot {verb} hook point {point.name!r}: {reason}.")
    return matches


def describe(value: Any) -> str:
    """Describe a value in an error: the shape and dtype of each array in it."""
    arrays = [
        f"{leaf.dtype}{list(leaf.shape)}" if hasattr(leaf, "shape") else repr(leaf)
        for leaf in jax.tree.leaves(value)
    ]
    return ", ".join(arrays) or repr(value)
