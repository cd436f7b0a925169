"""Hook points, the loops around them, and their places in a jaxpr."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from jax.extend import core

from attn_jax.hooks.patterns import Selection

Captured = dict[str, Any]
"""Captured values by name. Inside a `cond`, `name?` says whether `name` was computed."""


@dataclasses.dataclass(frozen=True)
class Loop:
    """A loop or a device mesh, which turns one hook point into many values.

    Attributes:
        kind: `scan` (also `lax.map` and loops of known length), `while` or `shard_map`.
        length: The number of steps or devices; None where only the running program knows it.
    """

    kind: Literal["scan", "while", "shard_map"]
    length: int | None


@dataclasses.dataclass(frozen=True)
class HookPoint:
    """A value that can be read, and usually edited, by its name.

    Attributes:
        name: The path of modules and the leaf, joined by dots; `*` stands for the step of a
            scanned loop.
        shape: The shape of one value as an edit sees it, without the axes of loops; a pytree of
            shapes if the value consists of several arrays.
        dtype: The dtype of the value, or a pytree of dtypes.
        loops: The loops around the value, the outermost first.
        is_conditional: Whether the value lies in a branch that may not run.
        frozen: The reason why the value cannot be edited, or an empty string.
        hidden: The reason why the value can be neither read nor edited, or an empty string.
        is_observation: Whether the value is computed only to be read. Such a point must be
            named in full: a pattern that ends in `*` skips it.
        axes: What the last axes of the value run over, if a layout says so: `batch`, `head`,
            `query`, `key` or `feature`. Empty for a tap, whose axes are those of its value.
    """

    name: str
    shape: tuple[Any, ...]
    dtype: Any
    loops: tuple[Loop, ...] = ()
    is_conditional: bool = False
    frozen: str = ""
    hidden: str = ""
    is_observation: bool = False
    axes: tuple[str, ...] = ()

    @property
    def is_last_step(self) -> bool:
        """Whether capture returns the last of many steps: those of a `while` loop."""
        return any(loop.kind == "while" for loop in self.loops)

    @property
    def lengths(self) -> tuple[int, ...]:
        """The length of each loop that is written `*` in the name."""
        return tuple(loop.length or 0 for loop in self.loops if loop.kind == "scan")

    def align(self, selection: Selection) -> Selection:
        """Return a selection of one step per loop, given one of a step per `*` in the name."""
        steps = iter(selection)
        return tuple(next(steps) if loop.kind == "scan" else None for loop in self.loops)


Kind = Literal["softmax", "sigmoid", "kernel", "tap", "hidden"]
"""How attention was recognized; `tap` if it has hook points of its own."""


@dataclasses.dataclass(frozen=True)
class FoundAttention:
    """One attention of a function, as :func:`attn_jax.hooks.find_attention` reports it.

    Attributes:
        name: The name of the hook point of its weights.
        kind: The normalizer (`softmax`, `sigmoid`); `kernel` for a call known to a rule; `tap`
            for attention with hook points of its own; `hidden` for what cannot be reached.
        leaves: The names of all its hook points: scores, weights and context as far as known.
        shape: The shape of the weights, as hooks present them, without the axes of loops.
        axes: What the last axes of the weights run over; empty where it is not known.
        loops: The loops around it, the outermost first.
        frozen: The reason why it cannot be edited, or an empty string.
        hidden: The reason why it can be neither read nor edited, or an empty string.
    """

    name: str
    kind: Kind
    leaves: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    axes: tuple[str, ...] = ()
    loops: tuple[Loop, ...] = ()
    frozen: str = ""
    hidden: str = ""


@dataclasses.dataclass(frozen=True)
class Placement:
    """A tap to add to a program that is run again.

    Attributes:
        variables: The values that it taps.
        tap_call: Returns these values with taps, given them and the operands.
        scopes: The named scopes around the tap, inside its jaxpr.
        operands: Other values that it needs.
        is_operand: Whether only the equation at which it stands sees the tapped values.
    """

    variables: tuple[core.Var, ...]
    tap_call: Callable[[Sequence[Any], Sequence[Any]], Sequence[Any]]
    scopes: tuple[str, ...] = ()
    operands: tuple[Any, ...] = ()
    is_operand: bool = False


@dataclasses.dataclass(frozen=True)
class Block:
    """The hook points of one jaxpr, by the number of their equation.

    Attributes:
        taps: The points of each equation that is a tap.
        inner: The blocks of each equation that has jaxprs with hook points inside.
        placements: The taps to add after each equation; those with number -1 at the arguments.
    """

    taps: dict[int, tuple[HookPoint, ...]]
    inner: dict[int, tuple[Block, ...]]
    placements: dict[int, tuple[Placement, ...]] = dataclasses.field(default_factory=dict)

    def points(self) -> Iterator[HookPoint]:
        """Yield the hook points in the order of the program."""
        for i in sorted((*self.taps, *self.inner)):
            yield from self.taps.get(i, ())
            for block in self.inner.get(i, ()):
                yield from block.points()

    def __bool__(self) -> bool:
        return bool(self.taps or self.inner or self.placements)
