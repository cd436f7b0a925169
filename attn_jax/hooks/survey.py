"""A survey of the hook points of a jaxpr, before anything runs."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from jax.extend import core

from attn_jax.hooks.names import Path, is_differentiated, is_transposed, scopes_of
from attn_jax.hooks.points import Block, HookPoint
from attn_jax.hooks.rules import RULES
from attn_jax.hooks.rules.rule import SubJaxpr
from attn_jax.hooks.tap import DerivedTap, tap_p


def survey(jaxpr: core.Jaxpr) -> Block:
    """Return every hook point of a jaxpr."""
    return _Surveyor().block(SubJaxpr(jaxpr), HookPoint("", (), None), Path())


DIFFERENTIATED = (
    "it was differentiated before it came here, and its derivative would not know of the edit; "
    "write grad(intervene(fn, …)) instead of intervene(grad(fn), …)"
)


class _Surveyor:
    """Walks a jaxpr in the order of the program, and numbers repeated names."""

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self.points = dict[str, HookPoint]()

    def block(self, sub: SubJaxpr, context: HookPoint, path: Path) -> Block:
        """Survey one jaxpr; `context` is a nameless point with what holds for all points inside."""
        taps, inner = {}, {}
        for i, eqn in enumerate(open_jaxpr(sub.jaxpr).eqns):
            eqn_path = path.enter(scopes_of(eqn))
            frozen = context.frozen or DIFFERENTIATED * is_differentiated(eqn)
            eqn_context = dataclasses.replace(context, frozen=frozen)
            if eqn.primitive is tap_p:
                is_replay = sub.is_replay or is_transposed(eqn)
                if points := self._tap_points(eqn, eqn_context, eqn_path, is_replay):
                    taps[i] = points
            elif blocks := self._inner_blocks(eqn, eqn_context, eqn_path, sub.is_replay):
                inner[i] = blocks
        return Block(taps, inner)

    def _tap_points(
        self, eqn: core.JaxprEqn, context: HookPoint, path: Path, is_replay: bool
    ) -> tuple[HookPoint, ...]:
        leaves = {path.leaf(leaf): aval for leaf, aval in _leaves(eqn).items()}
        # A backward pass repeats the taps of a checkpoint that its forward pass has recorded
        # already. Those that the forward pass lost as dead code appear only here.
        if is_replay and all(self.counts[name] for name in leaves):
            return ()
        derived = eqn.params["derived"]
        frozen = context.frozen or eqn.params["frozen"]
        context = dataclasses.replace(context, frozen=frozen)
        axes = {path.leaf(leaf): names for leaf, names in _axes(eqn).items()}
        observations = {path.leaf(leaf) for leaf in getattr(derived, "observations", ())}
        return tuple(
            self._numbered(
                dataclasses.replace(
                    _point(context, name, aval, name in observations), axes=axes.get(name, ())
                )
            )
            for name, aval in leaves.items()
        )

    def _numbered(self, point: HookPoint) -> HookPoint:
        """Return the point, with a number in its name if the name was used before."""
        base = point.name
        while True:
            count = self.counts[base]
            self.counts[base] += 1
            numbered = dataclasses.replace(point, name=f"{base}#{count}" if count else base)
            # Two branches of a `cond` may share a name, if their values are of the same kind.
            if self.points.setdefault(numbered.name, numbered) == numbered:
                return numbered

    def _inner_blocks(
        self, eqn: core.JaxprEqn, context: HookPoint, path: Path, is_replay: bool
    ) -> tuple[Block, ...]:
        # Each branch counts names from the same start, as only one of them runs; afterwards a
        # name has been used as often as in the branch that uses it most.
        before, after = self.counts.copy(), self.counts.copy()
        is_replay = is_replay or is_transposed(eqn)
        blocks = []
        for sub in sub_jaxprs_of(eqn):
            if sub.is_branch:
                self.counts = before.copy()
            sub = dataclasses.replace(sub, is_replay=sub.is_replay or is_replay)
            sub_path = path.loop() if sub.loop and sub.loop.kind == "scan" else path
            blocks.append(self.block(sub, _sub_context(context, sub), sub_path))
            after |= self.counts
        self.counts = after
        return tuple(blocks) if any(blocks) else ()


_OBSERVED = "it is read off the call and nothing depends on it; edit the scores or weights instead"


def _point(context: HookPoint, name: str, aval: Any, is_observation: bool) -> HookPoint:
    return dataclasses.replace(
        context,
        name=name,
        shape=jax.tree.map(lambda x: x.shape, aval),
        dtype=jax.tree.map(lambda x: x.dtype, aval),
        frozen=context.frozen or _OBSERVED * is_observation,
        is_observation=is_observation,
    )


def _sub_context(context: HookPoint, sub: SubJaxpr) -> HookPoint:
    return dataclasses.replace(
        context,
        loops=context.loops + ((sub.loop,) if sub.loop else ()),
        is_conditional=context.is_conditional or sub.is_branch,
        frozen=context.frozen or sub.frozen,
        hidden=context.hidden or sub.hidden,
    )


def _leaves(eqn: core.JaxprEqn) -> dict[str, Any]:
    """Return the hook points of a tap, each with its abstract value."""
    derived, names = eqn.params["derived"], eqn.params["operands"]
    if derived is None:
        value = _abstract(eqn.outvars[0].aval)
        layout = eqn.params["layout"]
        shown = jax.eval_shape(layout.present, value) if layout else value
        return {eqn.params["name"]: shown}
    value, *operands = (_abstract(v.aval) for v in eqn.invars)
    avals = dict(zip(names, operands, strict=True)) | {derived.leaves[-1]: value}
    return _derived_leaves(derived, tuple(avals.items()))


def _axes(eqn: core.JaxprEqn) -> dict[str, tuple[str, ...]]:
    """Return the axes of the hook points of a tap, where they are known."""
    layout, derived = eqn.params["layout"], eqn.params["derived"]
    return {eqn.params["name"]: layout.axes} if layout else dict(getattr(derived, "axes", {}))


# The layers of a model are alike, so one trace of the formulas serves all of them.
@functools.lru_cache(maxsize=256)
def _derived_leaves(derived: DerivedTap, operands: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    def derive_all(operands):
        return [derived.derive(leaf, operands) for leaf in derived.leaves]

    avals = jax.eval_shape(derive_all, dict(operands))
    return dict(zip(derived.leaves, avals, strict=True))


def _abstract(aval: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype)


def sub_jaxprs_of(eqn: core.JaxprEqn) -> Sequence[SubJaxpr]:
    """Return the jaxprs inside an equation; those of a primitive without a rule are hidden."""
    rule = RULES.get(eqn.primitive.name)
    if rule is not None:
        return rule.sub_jaxprs(eqn)
    # They are searched all the same, so that a tap inside gives an error that names it.
    reason = f"it lies inside {eqn.primitive.name!r}, which hooks cannot look into"
    return [
        SubJaxpr(jaxpr, hidden=reason) for value in eqn.params.values() for jaxpr in _jaxprs(value)
    ]


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
