"""Finds the hook points of a jaxpr, before anything runs."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.extend import core

from attn_jax.hooks.names import Path, is_differentiated, scopes_of
from attn_jax.hooks.patterns import At
from attn_jax.hooks.rules import RULES
from attn_jax.hooks.rules.rule import Body, Loop
from attn_jax.hooks.tap import DerivedTap, tap_p


@dataclasses.dataclass(frozen=True)
class HookPoint:
    """A value that can be read, and mostly edited, by its name.

    Attributes:
        name: the path of modules and the leaf, joined by dots; `*` stands for the index of a
            scanned loop.
        shape: the shape of one value, as an edit sees it, without the axes of loops; of a value
            of several arrays, theirs.
        dtype: its dtype, or theirs.
        loops: the loops around it, the outermost first.
        is_conditional: whether it lies in a branch that may not run.
        frozen: why it cannot be edited, or empty.
        hidden: why it can be neither read nor edited, or empty.
        is_observation: whether it is computed only to be read. A pattern must name it: one that
            ends in `*` passes it over.
    """

    name: str
    shape: tuple[Any, ...]
    dtype: Any
    loops: tuple[Loop, ...] = ()
    is_conditional: bool = False
    frozen: str = ""
    hidden: str = ""
    is_observation: bool = False

    @property
    def lengths(self) -> tuple[int, ...]:
        """The length of each loop that is written `*` in the name."""
        return tuple(loop.length or 0 for loop in self.loops if loop.kind == "scan")

    def aligned(self, at: At) -> At:
        """Return indices, given for each `*` of the name, for each of the loops instead."""
        chosen = iter(at)
        return tuple(next(chosen) if loop.kind == "scan" else None for loop in self.loops)


@dataclasses.dataclass(frozen=True)
class ResultPoint(HookPoint):
    """A result of an equation that is no tap, by its position among the results."""

    position: int = 0


@dataclasses.dataclass(frozen=True)
class Block:
    """The hook points in one jaxpr, by the number of their equation, and those further inside."""

    taps: dict[int, tuple[HookPoint, ...]]
    inner: dict[int, tuple["Block", ...]]

    def points(self) -> Iterator[HookPoint]:
        """Yield the hook points in the order of the program."""
        for i in sorted((*self.taps, *self.inner)):
            yield from self.taps.get(i, ())
            for block in self.inner.get(i, ()):
                yield from block.points()

    def __bool__(self) -> bool:
        return bool(self.taps or self.inner)


Detector = Callable[[core.Jaxpr], dict[int, int]]
"""Says which results of which equations of a jaxpr are to be hook points, instead of its taps."""


def survey(jaxpr: core.Jaxpr, detector: Detector | None = None) -> Block:
    """Find every hook point of a jaxpr: its taps, or what a detector finds."""
    return _Surveyor(detector).block(Body(jaxpr), HookPoint("", (), None), Path())


_DIFFERENTIATED = (
    "it was differentiated before it came here, and its derivative would not know of the edit; "
    "write grad(intervene(fn, …)) instead of intervene(grad(fn), …)"
)


class _Surveyor:
    """Walks a jaxpr in the order of the program, and numbers names that return."""

    def __init__(self, detector: Detector | None) -> None:
        self.detector = detector
        self.used = Counter[str]()
        self.given = dict[str, HookPoint]()

    def block(self, body: Body, around: HookPoint, path: Path) -> Block:
        """Survey one body; `around` is a nameless point that tells what holds for all inside."""
        taps, inner = {}, {}
        detected = self.detector(open_jaxpr(body.jaxpr)) if self.detector else {}
        for i, eqn in enumerate(open_jaxpr(body.jaxpr).eqns):
            here = path.enter(scopes_of(eqn))
            frozen = around.frozen or _DIFFERENTIATED * is_differentiated(eqn)
            inside = dataclasses.replace(around, frozen=frozen)
            if i in detected:
                taps[i] = (self._result(eqn, inside, here, detected[i]),)
            elif eqn.primitive is tap_p:
                if not self.detector and (
                    points := self._points(eqn, inside, here, body.is_replay)
                ):
                    taps[i] = points
            elif blocks := self._inside(eqn, inside, here, body.is_replay):
                inner[i] = blocks
        return Block(taps, inner)

    def _points(
        self, eqn: core.JaxprEqn, around: HookPoint, path: Path, is_replay: bool
    ) -> tuple[HookPoint, ...]:
        leaves = {path.leaf(leaf): aval for leaf, aval in _leaves(eqn).items()}
        # What the forward pass computed is not recorded again; what it never needed is here.
        if is_replay and all(self.used[name] for name in leaves):
            return ()
        watched = {path.leaf(x) for x in getattr(eqn.params["site"], "observations", ())}
        return tuple(
            self._named(_point(around, name, aval, name in watched))
            for name, aval in leaves.items()
        )

    def _result(
        self, eqn: core.JaxprEqn, around: HookPoint, path: Path, position: int
    ) -> HookPoint:
        aval: Any = eqn.outvars[position].aval
        known = {field.name: getattr(around, field.name) for field in dataclasses.fields(around)}
        known |= {"name": path.leaf("weights"), "shape": aval.shape, "dtype": aval.dtype}
        return self._named(ResultPoint(**known, position=position))

    def _named(self, point: HookPoint) -> HookPoint:
        """Return the point with a number if its name was used before."""
        base = point.name
        while True:
            again = self.used[base]
            self.used[base] += 1
            named = dataclasses.replace(point, name=f"{base}#{again}" if again else base)
            # Two branches of a `cond` may share a name, if the value is of one kind.
            if self.given.setdefault(named.name, named) == named:
                return named

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


_OBSERVED = "it is read off the call and nothing depends on it; edit the scores or weights instead"


def _point(around: HookPoint, name: str, aval: Any, is_observation: bool) -> HookPoint:
    return dataclasses.replace(
        around,
        name=name,
        shape=jax.tree.map(lambda x: x.shape, aval),
        dtype=jax.tree.map(lambda x: x.dtype, aval),
        frozen=around.frozen or _OBSERVED * is_observation,
        is_observation=is_observation,
    )


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
    return _derived(site, tuple(known.items()))


@functools.lru_cache(maxsize=256)
def _derived(site: DerivedTap, known: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """Return what a site derives; layers are alike, so that one of them is traced for all."""
    avals = jax.eval_shape(lambda known: [site.derive(x, known) for x in site.leaves], dict(known))
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
