"""The rules of AttnLRP for the operations of a program, as changes of their derivatives.

Relevance is a value times its gradient, so a rule for relevance is a rule for a derivative: half of
it where two variables are multiplied, `f(x) / x` at an activation, none through a denominator.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from attn_jax.hooks import HookError
from attn_jax.hooks.attention.graph import Graph, Level, Op, Value
from attn_jax.hooks.points import Placement
from attn_jax.measure.lrp_softmax import Softmaxes

_LINEAR = {"add", "add_any", "sub", "neg", "mul", "convert_element_type", "copy", "copy_p", "tap"}
_LINEAR |= {"reduce_precision", "max", "min", "select_n", "clamp", "abs"}
_CURVED = {"exp", "exp2", "expm1", "log", "log1p", "tanh", "logistic", "erf", "erfc", "erf_inv"}
_CURVED |= {"sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh"}
_CURVED |= {"sqrt", "rsqrt", "cbrt", "square", "integer_pow", "pow"}
_POINTWISE = _LINEAR | _CURVED | {"div"}
_PRODUCTS = {"mul", "dot_general", "outer", "conv_general_dilated"}
_REDUCTIONS = {"reduce_sum", "reduce_max", "reduce_min"}
_MOVES = {"broadcast_in_dim", "reshape", "squeeze", "expand_dims", "transpose"}
_LOOKUPS = {"gather", "dynamic_slice"}
_COLLECTIONS = {"concatenate", "pad", "dynamic_update_slice", "optimization_barrier", "sort"}
_COLLECTIONS |= {
    "scatter",
    "scatter-add",
    "scatter_add",
    "merge",
    "stack",
    "slice",
    "psum",
    "psum2",
}
_PLAIN = _POINTWISE | _REDUCTIONS | _MOVES | _LOOKUPS | _COLLECTIONS

Rules = dict[Level, dict[int, list[Placement]]]
"""Changes of values, by level and by the number of the equation."""


@jax.custom_jvp
def halve(x: Array) -> Array:
    """Return a value, with half of its derivative: the uniform rule for one of two factors."""
    return x


@halve.defjvp
def _halve_jvp(primals, tangents):
    return primals[0], tangents[0] * 0.5


@jax.custom_jvp
def pass_on(out: Array, x: Array) -> Array:
    """Return `out`, a function of `x`, with the derivative `out / x`: the identity rule."""
    return out


@pass_on.defjvp
def _pass_on_jvp(primals, tangents):
    out, x = primals
    # An input of zero has no relevance.
    ratio = jnp.where(x == 0, 0, out / jnp.where(x == 0, 1, x))
    return out, tangents[1].astype(out.dtype) * ratio.astype(out.dtype)


def place_rules(graph: Graph) -> tuple[Rules, set[Value]]:
    """Return the changes that make gradient times input the relevance of AttnLRP.

    Args:
        graph: The program.

    Returns:
        The changes, and the values that depend on the arguments through floating numbers.

    Raises:
        HookError: If variables are multiplied inside a function with a derivative of its own.
    """
    softmaxes, carried = Softmaxes(graph), set[Value]()
    merges = [op for op in graph.ops if op.name == "merge"]
    while True:  # until it is known which values that loops carry are variables
        reader = _Reader(graph, softmaxes, carried)
        for op in graph.ops:
            if op.is_live and not op.level.hidden:
                reader.visit(op)
        now = {op.outputs[0] for op in merges if reader.variables.intersection(op.inputs)}
        if now <= carried:
            return reader.rules, reader.variables
        carried = carried | now


class _Reader:
    """Follows the variables of a program, and notes a rule for each operation on them.

    Attributes:
        variables: The floating values that depend on the arguments.
        indices: The other values that do.
        statistics: The variables that are sums over others, or computed from such sums alone.
        sources: For a value that is computed element by element from one variable, that variable.
        starts: For such a value, where it is not linear, what the function was first applied to.
        rules: The changes.
    """

    def __init__(self, graph: Graph, softmaxes: Softmaxes, carried: set[Value]) -> None:
        arguments = set(arguments_of(graph))
        self.softmaxes = softmaxes
        self.variables = {v for v in arguments if _is_floating(v)} | carried
        self.indices = arguments - self.variables
        self.statistics = set[Value]()
        self.sources = dict[Value, Value]()
        self.starts = dict[Value, Value]()
        self.rules: Rules = {}

    def visit(self, op: Op) -> None:
        """Follow the variables through one operation."""
        # Of a tap, only the value itself goes on.
        inputs = op.inputs[:1] if op.name == "tap" else op.inputs
        operands = [v for v in inputs if v in self.variables]
        is_index = not self.indices.isdisjoint(op.inputs)
        floating = {v for v in op.outputs if _is_floating(v)}
        if operands or is_index:
            self.indices |= set(op.outputs) - floating
        # A row of a table that an index of the input looks up is a variable: an embedding.
        is_lookup = op.name in _LOOKUPS and not self.indices.isdisjoint(op.inputs[1:])
        if op.name == "stop_gradient" or not (operands or is_lookup):
            return
        if self._is_reciprocal(op) and self.statistics.issuperset(operands):
            self._change_output(op, lax.stop_gradient)
            return
        self.variables |= floating
        is_elementwise = op.name in _POINTWISE or op.name in _MOVES
        if op.name in _REDUCTIONS or (is_elementwise and self.statistics.issuperset(operands)):
            self.statistics |= floating
        if op not in self.softmaxes.ops and floating:
            self._place(op, operands)

    def _is_reciprocal(self, op: Op) -> bool:
        if op in self.softmaxes.ops:
            return False
        if op.name == "integer_pow":
            return op.params["y"] < 0
        return op.name == "rsqrt" or (op.name == "div" and op.inputs[0] not in self.variables)

    def _place(self, op: Op, operands: Sequence[Value]) -> None:
        """Note the rule of an operation on variables, its operands."""
        if op.name in _POINTWISE and self._pass_on(op, operands):
            return
        if len(operands) < 2:
            return
        if op in self.softmaxes.late:
            exponential, factor = self.softmaxes.late[op]
            self._change_output(exponential, halve)
            self._change_inputs(op, halve, [v for v in operands if v is not factor])
        elif op.name in _PRODUCTS:
            self._change_inputs(op, halve, operands)
        elif op.name == "div":
            self._change_inputs(op, lax.stop_gradient, op.inputs[1:])
        elif op.name not in _PLAIN:
            raise _no_rule(op, "none is known for this operation on several variables")

    def _pass_on(self, op: Op, operands: Sequence[Value]) -> bool:
        """Note the identity rule, if the result is a function of one variable."""
        source, out = self._common_source(operands), op.outputs[0]
        if source is None:
            return False
        self.sources[out] = source
        is_curved = op.name in _CURVED or (op.name == "div" and op.inputs[1] in self.variables)
        if not is_curved and len(operands) == 1:
            if source in self.starts:
                self.starts[out] = self.starts[source]
            return True
        # What follows an activation element by element belongs to it: 1 / (1 + exp(-x)).
        start = self.starts.get(source, source)
        level = _common_level(out, start)
        if level is None:
            return False
        self.starts[out] = start
        (variable, i), (x, _) = out.names[level], start.names[level]
        placement = Placement((variable,), lambda outs, xs: [pass_on(outs[0], xs[0])], (), (x,))
        self._add(level, i, placement)
        return True

    def _common_source(self, operands: Sequence[Value]) -> Value | None:
        """Return the nearest variable of which all operands are functions, element by element."""
        first, *others = (list(self._sources(v)) for v in operands)
        return next((v for v in first if all(v in other for other in others)), None)

    def _sources(self, value: Value | None) -> Iterator[Value]:
        while value is not None:
            yield value
            value = self.sources.get(value)

    def _change_output(self, op: Op, change: Callable[[Array], Array]) -> None:
        self._change(op, change, tuple(op.eqn.outvars), is_operand=False)

    def _change_inputs(
        self, op: Op, change: Callable[[Array], Array], values: Sequence[Value]
    ) -> None:
        pairs = zip(op.eqn.invars, op.inputs, strict=True)
        chosen = tuple(dict.fromkeys(x for x, v in pairs if v in values))
        self._change(op, change, chosen, is_operand=True)

    def _change(
        self,
        op: Op,
        change: Callable[[Array], Array],
        variables: tuple[Any, ...],
        *,
        is_operand: bool,
    ) -> None:
        if op.level.frozen:
            self._check_own_derivative(op)
            return

        def call(values: Sequence[Array], _: Sequence[Array]) -> list[Array]:
            return [change(x) for x in values]

        self._add(op.level, op.index, Placement(variables, call, is_operand=is_operand))

    def _add(self, level: Level, i: int, placement: Placement) -> None:
        self.rules.setdefault(level, {}).setdefault(i, []).append(placement)

    def _check_own_derivative(self, op: Op) -> None:
        """Refuse a function of several variables that has a derivative of its own."""
        level = [each for each in op.level.around() if each.frozen][-1]
        entering = [v for v in self.variables if v.names.get(level, (None, 0))[1] == -1]
        if len(entering) > 1:
            raise _no_rule(op, level.frozen)


def _no_rule(op: Op, reason: str) -> HookError:
    return HookError(
        f"AttnLRP needs a rule for {op.name!r}, but {reason}; compute it by plain operations, for "
        "attention with implementation='xla'."
    )


def arguments_of(graph: Graph) -> Iterator[Value]:
    """Yield the arguments of a program that are used."""
    root = graph.levels[0]
    arguments = set(root.jaxpr.invars)
    for value in dict.fromkeys(v for op in graph.ops for v in op.inputs):
        if root in value.names and value.names[root][0] in arguments:
            yield value


def _is_floating(value: Value) -> bool:
    return jnp.issubdtype(value.aval.dtype, jnp.floating)


def _common_level(value: Value, other: Value) -> Level | None:
    """Return the innermost level in which both are named and can be changed."""
    levels = (level for level in value.names if level in other.names)
    return next((level for level in levels if not (level.frozen or level.hidden)), None)
