"""A jaxpr as a graph of values, in which a value keeps its identity through calls and loops."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jax.extend import core

from attn_jax.hooks.names import Path, is_differentiated, is_transposed, scopes_of
from attn_jax.hooks.points import Loop
from attn_jax.hooks.rules.rule import SubJaxpr
from attn_jax.hooks.survey import DIFFERENTIATED, open_jaxpr, sub_jaxprs_of

# Calls, whose arguments and results are values of the caller.
_CALLS = {"jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2"}
_CALLS |= {"custom_jvp_call", "custom_vjp_call", "custom_vmap_call", "composite"}


@dataclasses.dataclass(eq=False)
class Level:
    """One use of a jaxpr: the program itself, or the body of a call, loop or branch.

    Attributes:
        jaxpr: The jaxpr.
        parent: The level around it, if any.
        place: The number of the equation in the parent, and of the jaxpr in the equation.
        scopes: The named scopes around it, the outermost first.
        path: The path of modules around it.
        loops: The loops around it.
        frozen: The reason why nothing inside can be edited, or an empty string.
        hidden: The reason why nothing inside can be reached, or an empty string.
        is_replay: Whether a backward pass computes here again what a forward pass did.
    """

    jaxpr: core.Jaxpr
    parent: Level | None = None
    place: tuple[int, int] = (0, 0)
    scopes: tuple[str, ...] = ()
    path: Path = dataclasses.field(default_factory=Path)
    loops: tuple[Loop, ...] = ()
    frozen: str = ""
    hidden: str = ""
    is_replay: bool = False

    def around(self) -> list[Level]:
        """Return the level and those around it, the innermost first."""
        return [self] + (self.parent.around() if self.parent else [])

    def common(self, other: Level) -> Level:
        """Return the innermost level around both."""
        others = other.around()
        return next(level for level in self.around() if level in others)

    def inside(self, i: int, k: int, sub: SubJaxpr) -> Level:
        """Return the level of the jaxpr with number `k` in equation `i`."""
        eqn = self.jaxpr.eqns[i]
        scopes = tuple(scopes_of(eqn))
        path = self.path.enter(scopes)
        return Level(
            open_jaxpr(sub.jaxpr),
            self,
            (i, k),
            self.scopes + scopes,
            path.loop() if sub.loop and sub.loop.kind == "scan" else path,
            self.loops + ((sub.loop,) if sub.loop else ()),
            self.frozen or sub.frozen or DIFFERENTIATED * is_differentiated(eqn),
            self.hidden or sub.hidden,
            self.is_replay or sub.is_replay or is_transposed(eqn),
        )


@dataclasses.dataclass(eq=False)
class Value:
    """An array of the program.

    Attributes:
        aval: Its abstract value.
        producer: The operation that computes it; None for an argument or a constant.
        users: The operations that use it.
        names: For each level in which it appears, its variable there, and the number of the
            equation that gives it (-1 for the arguments of the level).
        literal: Its value, if that is written in the program.
    """

    aval: Any
    producer: Op | None = None
    literal: Any = None
    users: list[Op] = dataclasses.field(default_factory=list)
    names: dict[Level, tuple[core.Var, int]] = dataclasses.field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self.aval.shape


@dataclasses.dataclass(eq=False)
class Op:
    """An equation of the program, or one of the steps that loops and branches take.

    The latter are `slice` (one step of a scanned array), `stack` (the results of all steps) and
    `merge` (a value that comes from several places: a carry, or the branch taken). A `dot_general`
    that sums over nothing is called `outer`.
    """

    name: str
    params: dict[str, Any]
    inputs: list[Value]
    level: Level
    index: int
    order: int
    outputs: list[Value] = dataclasses.field(default_factory=list)
    is_live: bool = False

    @property
    def eqn(self) -> core.JaxprEqn:
        """The equation itself, or the loop or branch around the step."""
        return self.level.jaxpr.eqns[self.index]

    @property
    def scopes(self) -> tuple[str, ...]:
        """All named scopes around the operation, the outermost first."""
        return self.level.scopes + tuple(scopes_of(self.eqn))

    @property
    def is_replay(self) -> bool:
        """Whether it belongs to a backward pass."""
        return self.level.is_replay or is_transposed(self.eqn)


TapCall = Callable[[Sequence[Any], Sequence[Any]], Sequence[Any]]
"""Maps the results and the operands of an equation to the same results with taps."""

KernelRule = Callable[[core.JaxprEqn], TapCall | None]
"""Recognizes an equation as a known attention kernel; None if it is not that."""


@dataclasses.dataclass(eq=False)
class Kernel:
    """A call of a known attention kernel."""

    op: Op
    tap_call: TapCall


@dataclasses.dataclass
class Graph:
    """All operations in the order of the program, the levels they lie in, and known kernels."""

    rules: Sequence[KernelRule] = ()
    ops: list[Op] = dataclasses.field(default_factory=list)
    levels: list[Level] = dataclasses.field(default_factory=list)
    kernels: list[Kernel] = dataclasses.field(default_factory=list)

    def live(self, *names: str) -> Iterator[Op]:
        """Yield the operations of these primitives that the results depend on."""
        return (op for op in self.ops if op.is_live and op.name in names)


def graph_of(jaxpr: core.Jaxpr, rules: Sequence[KernelRule] = ()) -> Graph:
    """Return the graph of a jaxpr, in which the calls that a rule knows are not looked into."""
    graph = Graph(rules)
    root = Level(jaxpr)
    arguments = [Value(v.aval) for v in jaxpr.invars]
    _mark_live(graph, _read_level(graph, root, arguments))
    return graph


def _read_level(graph: Graph, level: Level, arguments: Sequence[Value]) -> list[Value]:
    """Add the operations of a level; return its results."""
    graph.levels.append(level)
    environment: dict[core.Var, Value] = {}

    def define(variable: core.Var, value: Value, i: int) -> None:
        environment[variable] = value
        value.names.setdefault(level, (variable, i))

    def read(atom: core.Var | core.Literal) -> Value:
        if isinstance(atom, core.Literal):
            return Value(atom.aval, literal=atom.val)
        return environment[atom]

    for v in level.jaxpr.constvars:
        define(v, Value(v.aval), -1)
    for v, value in zip(level.jaxpr.invars, arguments, strict=True):
        define(v, value, -1)
    for i, eqn in enumerate(level.jaxpr.eqns):
        outs = _read_eqn(graph, level, i, [read(v) for v in eqn.invars])
        for v, out in zip(eqn.outvars, outs, strict=True):
            define(v, out, i)
    return [read(v) for v in level.jaxpr.outvars]


def _read_eqn(graph: Graph, level: Level, i: int, inputs: list[Value]) -> list[Value]:
    eqn = level.jaxpr.eqns[i]
    avals = [v.aval for v in eqn.outvars]
    for tap_call in (rule(eqn) for rule in graph.rules):
        if tap_call is not None:
            outs = _add(graph, level, i, "kernel", inputs, avals)
            graph.kernels.append(Kernel(graph.ops[-1], tap_call))
            return outs
    name, subs = eqn.primitive.name, sub_jaxprs_of(eqn)
    levels = [level.inside(i, k, sub) for k, sub in enumerate(subs)]
    is_call = name in _CALLS or (name == "call_hi_primitive" and not levels[0].hidden)
    if is_call and len(subs) == 1 and len(inputs) == len(levels[0].jaxpr.invars):
        return _read_level(graph, levels[0], inputs)
    if name in ("scan", "while", "cond", "shard_map"):
        return _READERS[name](graph, level, i, levels, inputs)
    for inner in levels:  # out of reach, but what lies there can be reported
        _read_level(graph, inner, [Value(v.aval) for v in inner.jaxpr.invars])
    return _add(graph, level, i, name, inputs, avals)


def _add(
    graph: Graph, level: Level, i: int, name: str, inputs: Sequence[Value], avals: Sequence[Any]
) -> list[Value]:
    params = level.jaxpr.eqns[i].params
    if name == "dot_general" and not params["dimension_numbers"][0][0]:
        name = "outer"
    op = Op(name, params, list(inputs), level, i, len(graph.ops))
    op.outputs = [Value(aval, op) for aval in avals]
    for value in op.inputs:
        value.users.append(op)
    graph.ops.append(op)
    return op.outputs


def _merge(graph: Graph, level: Level, i: int, inputs: Sequence[Value], aval: Any) -> Value:
    return _add(graph, level, i, "merge", inputs, [aval])[0]


def _join(value: Value, other: Value) -> None:
    """Let a merged value come from one more place."""
    if value.producer:
        value.producer.inputs.append(other)
        other.users.append(value.producer)


def _read_scan(
    graph: Graph, level: Level, i: int, levels: list[Level], inputs: list[Value]
) -> list[Value]:
    eqn, inside = level.jaxpr.eqns[i], levels[0].jaxpr
    consts, init = _counts(eqn)
    avals = [v.aval for v in inside.invars]
    carry = [
        _merge(graph, level, i, [x], aval)
        for x, aval in zip(inputs[consts : consts + init], avals[consts:], strict=False)
    ]
    xs = [
        _add(graph, level, i, "slice", [x], [aval])[0]
        for x, aval in zip(inputs[consts + init :], avals[consts + init :], strict=True)
    ]
    results = _read_level(graph, levels[0], [*inputs[:consts], *carry, *xs])
    for value, result in zip(carry, results, strict=False):
        _join(value, result)
    outs = list(carry)
    outs += [
        _add(graph, level, i, "stack", [y], [v.aval])[0]
        for y, v in zip(results[init:], eqn.outvars[init:], strict=True)
    ]
    return outs


def _counts(eqn: core.JaxprEqn) -> tuple[int, int]:
    """Return the numbers of constants and of carried values of a scan."""
    if "ft_in" in eqn.params:  # since jax 0.12
        consts, init, _ = eqn.params["ft_in"].update(list(range(len(eqn.invars)))).unpack()
        return len(list(consts)), len(list(init))
    return eqn.params["num_consts"], eqn.params["num_carry"]


def _read_while(
    graph: Graph, level: Level, i: int, levels: list[Level], inputs: list[Value]
) -> list[Value]:
    params = level.jaxpr.eqns[i].params
    split = params["cond_nconsts"]
    cond_consts, inputs = inputs[:split], inputs[split:]
    body_consts, init = inputs[: params["body_nconsts"]], inputs[params["body_nconsts"] :]
    avals = [v.aval for v in levels[1].jaxpr.outvars]
    carry = [_merge(graph, level, i, [x], aval) for x, aval in zip(init, avals, strict=True)]
    (condition,) = _read_level(graph, levels[0], [*cond_consts, *carry])
    results = _read_level(graph, levels[1], [*body_consts, *carry])
    for value, result in zip(carry, results, strict=True):
        _join(value, result)
        _join(value, condition)
    return list(carry)


def _read_cond(
    graph: Graph, level: Level, i: int, levels: list[Level], inputs: list[Value]
) -> list[Value]:
    results = [_read_level(graph, inner, inputs[1:]) for inner in levels]
    avals = [v.aval for v in level.jaxpr.eqns[i].outvars]
    return [
        _merge(graph, level, i, [*values, inputs[0]], aval)
        for *values, aval in zip(*results, avals, strict=True)
    ]


def _read_shard_map(
    graph: Graph, level: Level, i: int, levels: list[Level], inputs: list[Value]
) -> list[Value]:
    inside = levels[0].jaxpr
    shards = [
        _add(graph, level, i, "shard", [x], [v.aval])[0]
        for x, v in zip(inputs, inside.invars, strict=True)
    ]
    results = _read_level(graph, levels[0], shards)
    avals = [v.aval for v in level.jaxpr.eqns[i].outvars]
    return [
        _add(graph, level, i, "unshard", [x], [aval])[0]
        for x, aval in zip(results, avals, strict=True)
    ]


_READERS = {
    "scan": _read_scan,
    "while": _read_while,
    "cond": _read_cond,
    "shard_map": _read_shard_map,
}


def _mark_live(graph: Graph, results: Sequence[Value]) -> None:
    """Mark the operations that the results depend on, and those with effects."""
    pending = [v.producer for v in results if v.producer]
    pending += [op for op in graph.ops if op.eqn.effects or op.level.hidden]
    while pending:
        op = pending.pop()
        if not op.is_live:
            op.is_live = True
            pending += [v.producer for v in op.inputs if v.producer]
