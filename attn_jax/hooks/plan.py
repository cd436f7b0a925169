"""What a call of capture or intervene wants, settled against the hook points there are."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
from jax import Array

from attn_jax.hooks import patterns
from attn_jax.hooks.errors import HookError
from attn_jax.hooks.survey import Block, HookPoint

Reducer = Callable[[Array], Any]
"""Maps the value of one hook point, of one step of each loop around it, to any pytree."""

Spec = str | Sequence[str] | Mapping[str, Reducer | None]
"""A glob, several globs, or for each glob what to keep of the values (all of them if None)."""


@dataclasses.dataclass(frozen=True)
class Site:
    """Where an edit is.

    Attributes:
        name: the name of the hook point, with the indices that the pattern chose written out.
        index: for each loop around it, the outermost first, which step this is, as a traced
            integer; for `shard_map` the number of the device.
        point: the hook point itself.
    """

    name: str
    index: tuple[Array, ...]
    point: HookPoint


EditFunction = Callable[[Array, Site], Array]
"""Maps a value and its site to what shall stand in its place, of the same shape and dtype."""


@dataclasses.dataclass(frozen=True)
class Request:
    """One entry of what capture returns; `at` has an index, or None for all, for each loop."""

    key: str
    at: patterns.At
    reduce: Reducer | None


@dataclasses.dataclass(frozen=True)
class Edit:
    """One function to apply at a hook point; `at` is as in a request."""

    name: str
    at: patterns.At
    function: EditFunction


@dataclasses.dataclass(frozen=True)
class Plan:
    """Requests and edits by the name of the hook point, and the requests by their key."""

    requests: Mapping[str, Sequence[Request]]
    edits: Mapping[str, Sequence[Edit]]

    def prune(self, block: Block) -> Block:
        """Return of a block only what is to be run step by step."""
        wanted = self.requests.keys() | self.edits.keys()
        taps = {i: p for i, p in block.taps.items() if wanted & {point.name for point in p}}
        inner = {i: tuple(map(self.prune, blocks)) for i, blocks in block.inner.items()}
        return Block(taps, {i: blocks for i, blocks in inner.items() if any(blocks)})

    def chooses_at(self, depth: int) -> bool:
        """Whether any entry is about one step of a loop that lies so many loops deep."""
        return any(
            request.at[depth : depth + 1] not in ((), (None,))
            for requests in self.requests.values()
            for request in requests
        )

    def at(self, key: str) -> patterns.At:
        """Return which indices an entry of a capture, or its flag `key?`, is about."""
        return next(
            request.at
            for requests in self.requests.values()
            for request in requests
            if request.key == key.removesuffix("?")
        )


def as_mapping(spec: Spec) -> Mapping[str, Reducer | None]:
    """Return a spec as a mapping from globs to reducers."""
    if isinstance(spec, Mapping):
        return spec
    return dict.fromkeys([spec] if isinstance(spec, str) else spec)


def make_plan(points: Iterable[HookPoint], spec: Spec, edits: Mapping[str, EditFunction]) -> Plan:
    """Match what is asked for with the hook points there are.

    Raises:
        HookError: if a pattern matches none, or one that is out of reach.
    """
    by_name = {point.name: point for point in points}
    requests: dict[str, list[Request]] = {}
    keys = set[str]()
    for pattern, reduce in as_mapping(spec).items():
        for point, at in _matches(pattern, by_name, "capture"):
            key = patterns.key(point.name, at)
            if key not in keys:  # the first pattern that gives a key decides its reducer
                keys.add(key)
                request = Request(key, point.aligned(at), reduce)
                requests.setdefault(point.name, []).append(request)
    changes: dict[str, list[Edit]] = {}
    for pattern, function in edits.items():
        for point, at in _matches(pattern, by_name, "edit"):
            edit = Edit(patterns.key(point.name, at), point.aligned(at), function)
            changes.setdefault(point.name, []).append(edit)
    return Plan(requests, changes)


def _matches(
    pattern: str, by_name: Mapping[str, HookPoint], verb: str
) -> list[tuple[HookPoint, patterns.At]]:
    found = [
        (point, at)
        for point in by_name.values()
        for at in patterns.indices(pattern, point.name, point.lengths)
        if not (point.is_observation and pattern.endswith("*"))
    ]
    if not found:
        raise patterns.no_match(pattern, by_name)
    for point, _ in found:
        reason = point.hidden or (verb == "edit" and point.frozen)
        if reason:
            raise HookError(f"cannot {verb} hook point {point.name!r}: {reason}.")
    return found


def describe(value: Any) -> str:
    """Describe a value in an error: shape and dtype of each array in it."""
    described = [
        f"{leaf.dtype}{list(leaf.shape)}" if hasattr(leaf, "shape") else repr(leaf)
        for leaf in jax.tree.leaves(value)
    ]
    return ", ".join(described) or repr(value)
