"""Finds the hook points of a jaxpr, before anything runs."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from jax.extend import core

from attn_jax.hooks.bodies import Body, Loop
from attn_jax.hooks.names import Path, scopes_of
from attn_jax.hooks.patterns import At
from attn_jax.hooks.primitive import tap_p
from attn_jax.hooks.rules import RULES


@dataclasses.dataclass(frozen=True)
class HookPoint:
    """A value that can be read, and mostly edited, by its name.

    Attributes:
        name: the path of modules and the leaf, joined by dots; ``*`` stands for the index of a
            scanned loop.
        shape: the shape of one value, as an edit sees it, without the axes of loops.
        dtype: its dtype.
        loops: the loops around it, the outermost first.
        is_conditional: whether it lies in a branch that may not run.
        frozen: why it cannot be edited, or empty.
        hidden: why it can be neither read nor edited, or empty.
    """

    name: str
    shape: tuple[int, ...]
    dtype: Any
    loops: tuple[Loop, ...] = ()
    is_conditional: bool = False
    frozen: str = ""
    hidden: str = ""

    @property
    def lengths(self) -> tuple[int, ...]:
        """The length of each loop that is written ``*`` in the name."""
        return tuple(loop.length or 0 for loop in self.loops if loop.kind == "scan")

    def aligned(self, at: At) -> At:
        """Return indices, given for each ``*`` of the name, for each of the loops instead."""
        chosen = iter(at)
        return tuple(next(chosen) if loop.kind == "scan" else None for loop in self.loops)


@dataclasses.dataclass(frozen=True)
class Visit:
    """The hook points of one tap equation; a replay edits them, and does not record them again."""

    points: tuple[HookPoint, ...]
    is_replay: bool = False


@dataclasses.dataclass(frozen=True)
class Block:
    """The hook points in one jaxpr, by the number of their equation, and those further inside."""

    visits: dict[int, Visit]
    inner: dict[int, tuple["Block", ...]]

    def points(self) -> Iterator[HookPoint]:
        """Yield the hook points in the order of the program, replays left out."""
        for i in sorted((*self.visits, *self.inner)):
            if i in self.visits:
                yield from () if self.visits[i].is_replay else self.visits[i].points
            else:
                for block in self.inner[i]:
                    yield from block.points()

    def __bool__(self) -> bool:
        return bool(self.visits or self.inner)


def survey(jaxpr: core.Jaxpr) -> Block:
    """Find every hook point of a jaxpr."""
    return _Surveyor().block(Body(jaxpr), HookPoint("", (), None), Path())


class _Surveyor:
    """Walks a jaxpr in the order of the program, and numbers names that return."""

    def __init__(self) -> None:
        self.used = Counter[str]()
        self.replayed = Counter[str]()
        self.given = dict[str, HookPoint]()

    def block(self, body: Body, around: HookPoint, path: Path) -> Block:
        """Survey one body; ``around`` is a nameless point that tells what holds for all inside."""
        visits, inner = {}, {}
        for i, eqn in enumerate(open_jaxpr(body.jaxpr).eqns):
            here = path.enter(scopes_of(eqn))
            if eqn.primitive is tap_p:
                visits[i] = self._visit(eqn, around, here, body.is_replay)
            elif blocks := self._inside(eqn, around, here, body.is_replay):
                inner[i] = blocks
        return Block(visits, inner)

    def _visit(self, eqn: core.JaxprEqn, around: HookPoint, path: Path, is_replay: bool) -> Visit:
        leaves = _leaves(eqn)
        # A value that the forward pass never needed is first computed by the backward pass.
        is_replay = is_replay and all(self.used[path.leaf(leaf)] for leaf in leaves)
        name = self._old_name if is_replay else self._new_name
        points = (
            dataclasses.replace(around, shape=aval.shape, dtype=aval.dtype, name=path.leaf(leaf))
            for leaf, aval in leaves.items()
        )
        return Visit(tuple(map(name, points)), is_replay)

    def _new_name(self, point: HookPoint) -> HookPoint:
        base = point.name
        while True:
            again = self.used[base]
            self.used[base] += 1
            named = dataclasses.replace(point, name=f"{base}#{again}" if again else base)
            # Two branches of a `cond` may share a name, if the value is of one kind.
            if self.given.setdefault(named.name, named) == named:
                return named

    def _old_name(self, point: HookPoint) -> HookPoint:
        base = point.name
        self.replayed[base] += 1
        # A backward pass comes by in the opposite order.
        again = max(0, self.used[base] - self.replayed[base])
        return self.given[f"{base}#{again}" if again else base]

    def _inside(
        self, eqn: core.JaxprEqn, around: HookPoint, path: Path, is_replay: bool
    ) -> tuple[Block, ...]:
        bodies = bodies_of(eqn)
        before, after = self.used.copy(), self.used.copy()
        blocks = []
        for body in bodies:
            if body.is_branch:
                self.used = before.copy()
            body = dataclasses.replace(body, is_replay=body.is_replay or is_replay)
            inner = path.loop() if body.loop and body.loop.kind == "scan" else path
            blocks.append(self.block(body, _deeper(around, body), inner))
            after |= self.used
        self.used = after
        return tuple(blocks) if any(blocks) else ()


def _deeper(around: HookPoint, body: Body) -> HookPoint:
    return dataclasses.replace(
        around,
        loops=around.loops + ((body.loop,) if body.loop else ()),
        is_conditional=around.is_conditional or body.is_branch,
        frozen=around.frozen or body.frozen,
        hidden=around.hidden or body.hidden,
    )


def _leaves(eqn: core.JaxprEqn) -> dict[str, Any]:
    """Return the hook points of a tap, each with its abstract value."""
    site, names = eqn.params["site"], eqn.params["operands"]
    if site is None:
        return {eqn.params["name"]: eqn.outvars[0].aval}
    value, *operands = (_abstract(v.aval) for v in eqn.invars)
    known = dict(zip(names, operands, strict=True)) | {site.leaves[-1]: value}
    avals = jax.eval_shape(lambda known: [site.derive(x, known) for x in site.leaves], known)
    return dict(zip(site.leaves, avals, strict=True))


def _abstract(aval: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype)


def bodies_of(eqn: core.JaxprEqn) -> Sequence[Body]:
    """Return the jaxprs inside an equation; those of a primitive without a rule are hidden."""
    rule = RULES.get(eqn.primitive.name)
    if rule is not None:
        return rule.bodies(eqn)
    why = f"it lies inside {eqn.primitive.name!r}, which hooks cannot look into"
    return [Body(jaxpr, hidden=why) for value in eqn.params.values() for jaxpr in _jaxprs(value)]


def _jaxprs(value: Any) -> Iterator[core.Jaxpr]:
    if isinstance(value, (core.Jaxpr, core.ClosedJaxpr)):
        yield open_jaxpr(value)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _jaxprs(item)
    elif isinstance(getattr(value, "jaxpr", None), (core.Jaxpr, core.ClosedJaxpr)):
        yield open_jaxpr(value.jaxpr)


def open_jaxpr(jaxpr: Any) -> core.Jaxpr:
    """Return a jaxpr without its constants (newer versions of JAX have one class for both)."""
    return getattr(jaxpr, "jaxpr", jaxpr)
