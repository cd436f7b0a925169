"""The hook points that a card judges, and other inputs at its keys."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.hooks import HookPoint, hook_points
from attn_jax.hooks.patterns import key, match
from attn_jax.measure import reweigh
from attn_jax.measure.numbered import all_steps

Steps = tuple[tuple[int, ...], ...]


class Places(NamedTuple):
    """The hook points that a card edits and reads.

    Attributes:
        attention: Those of the weights, one for each layer that is judged.
        contexts: Those of the same calls' contexts; empty if one of them has none.
        heads: The number of heads, 1 where the weights have no axis of heads.
        queries: The number of queries, 1 where the weights have no axis of queries.
        layers: How many layers they are.
        steps: For each name the steps of its scans, as `measure.numbered` takes them.
    """

    attention: tuple[str, ...]
    contexts: tuple[str, ...]
    heads: int
    queries: int
    layers: int
    steps: tuple[Steps, ...]


def find_places(
    fn: reweigh.Model, inputs: Any, patterns: Sequence[str], layers: Sequence[int] | None
) -> Places:
    """Return the places of the weights that match, in the order of the program.

    Args:
        fn: The model.
        inputs: Its inputs.
        patterns: The hook points of the weights.
        layers: Which of them to take, counted over all; all by default.

    Raises:
        ValueError: If there is no such layer.
    """
    points = hook_points(fn)(inputs)
    chosen = [
        (point, selection)
        for point in points
        for selection in dict.fromkeys(
            s for pattern in patterns for s in match(pattern, point.name, point.lengths)
        )
    ]
    if layers is not None:
        chosen = _take([each for pair in chosen for each in _split(*pair)], layers)
    count = sum(len(all_steps(_open(point, s))) for point, s in chosen)
    names = tuple(key(point.name, selection) for point, selection in chosen)
    shapes = [point.shape for point, _ in chosen]
    contexts = tuple(map(_context_of, names))
    known = {p.name for p in points if not (p.frozen or p.hidden)}
    has_contexts = all(_context_of(point.name) in known for point, _ in chosen)
    return Places(
        names,
        contexts if has_contexts else (),
        shapes[0][-3] if shapes and len(shapes[0]) > 3 else 1,
        shapes[0][-2] if shapes and len(shapes[0]) > 2 else 1,
        count,
        tuple(_steps(point, selection) for point, selection in chosen),
    )


def _steps(point: HookPoint, selection: Sequence[int | None]) -> Steps:
    return tuple(
        tuple(int(step) for step in each[1] if step is not None)
        for each in _split(point, selection)
    )


def _open(point: HookPoint, selection: Sequence[int | None]) -> list[int]:
    """Return the lengths of the loops of which a selection takes every step."""
    return [n for n, step in zip(point.lengths, selection, strict=True) if step is None]


def _split(
    point: HookPoint, selection: Sequence[int | None]
) -> list[tuple[HookPoint, tuple[int | None, ...]]]:
    """Return one selection for each step of each loop."""
    split = []
    for steps in all_steps(_open(point, selection)):
        left = iter(map(int, steps))
        split.append((point, tuple(next(left) if s is None else s for s in selection)))
    return split


def _take(places: list, layers: Sequence[int]) -> list:
    for layer in layers:
        if not -len(places) <= layer < len(places):
            raise ValueError(
                f"layers={list(layers)} has layer {layer}, but attention matches {len(places)} "
                f"layers; count from 0 to {len(places) - 1}."
            )
    return [places[layer] for layer in layers]


def _context_of(name: str) -> str:
    return re.sub(r"weights(?=(#\d+)?$)", "context", name)


def resample_keys(inputs: Any, keep: Array, others: Any) -> Any:
    """Replace the inputs at some keys by those of other inputs at the same places.

    Args:
        inputs: A batch, any pytree. Arrays whose first two axes are the examples and the keys
            change; the others stay as they are, and so do booleans, which say what exists.
        keep: True for the keys that stay, (n, k).
        others: Another batch.
    """

    def replace(own: Array, other: Array) -> Array:
        if not has_keys(own, keep.shape):
            return own
        return jnp.where(keep.reshape(*keep.shape, *(1,) * (own.ndim - 2)), own, other)

    return jax.tree.map(replace, inputs, others)


def has_keys(array: Any, sizes: Sequence[int]) -> bool:
    """Whether an array of inputs has an axis of examples and then one of keys."""
    return tuple(array.shape[:2]) == tuple(sizes) and array.dtype != bool
