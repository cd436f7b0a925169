"""Where a program normalizes scores: the softmax, in the many words that people write it in."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from attn_jax.hooks.attention.axes import LAYOUT, PASSIVE, chain, fresh, origins, reach
from attn_jax.hooks.attention.graph import Graph, Op, Value

_EXPONENTIALS = {"exp", "exp2"}
_MOVES = LAYOUT | {"convert_element_type", "stop_gradient", "reduce_precision"}
_IN_LOGARITHM = PASSIVE | {"abs"}


@dataclasses.dataclass(eq=False)
class Normalization:
    """Scores that are turned into weights.

    Attributes:
        kind: The normalizer.
        op: The operation whose first result is the weights, or the context if the sum divides
            that.
        scores: What goes into the normalizer.
        summed: The array whose sum normalizes, and the axes of the sum; None for sigmoid.
        exponential: The exponential of the scores; None for sigmoid.
        twin: The scores that the sum comes from, where the program computes them twice.
        product: The product of exponentials and values, if the sum divides it afterwards.
    """

    kind: Literal["softmax", "sigmoid"]
    op: Op
    scores: Value
    summed: tuple[Value, tuple[int, ...]] | None = None
    exponential: Op | None = None
    product: Op | None = None
    twin: Value | None = None


def normalizations(graph: Graph) -> Iterator[Normalization]:
    """Yield every softmax of a program, and every sigmoid, in the order of the program."""
    for op in graph.live("div", "mul", "exp", "exp2", "logistic"):
        if op.name == "logistic":
            yield Normalization("sigmoid", op, op.inputs[0])
        elif op.name in _EXPONENTIALS:
            yield from _by_logarithm(op)
        else:
            for numerator, denominator in _fractions(op):
                yield from _by_division(op, numerator, denominator)


def _fractions(op: Op) -> Iterator[tuple[Value, Value]]:
    """Yield numerator and denominator of a division, or of a product with a reciprocal."""
    left, right = op.inputs
    if left.literal is not None or right.literal is not None:
        return
    if op.name == "div":
        yield left, right
        return
    for value, other in ((left, right), (right, left)):
        for inverse in origins(other, {"div", "integer_pow"}, _MOVES)[:1]:
            if inverse.name == "integer_pow" and inverse.params["y"] == -1:
                yield value, inverse.inputs[0]
            elif inverse.name == "div" and _is_one(inverse.inputs[0]):
                yield value, inverse.inputs[1]


def _by_division(op: Op, numerator: Value, denominator: Value) -> Iterator[Normalization]:
    sums = list(_sums(denominator, PASSIVE))
    if not sums:
        return
    for exponential, summed, twin in _matches(numerator, sums):
        scores = _scores(exponential)
        yield Normalization("softmax", op, scores, summed, exponential, twin=twin)
        return
    for product in origins(numerator, {"dot_general"}, _MOVES)[:1]:
        for factor in product.inputs:
            for exponential, summed, twin in _matches(factor, sums):
                scores = _scores(exponential)
                yield Normalization("softmax", op, scores, summed, exponential, product, twin)
                return


def _matches(
    value: Value, sums: Sequence[tuple[Value, tuple[int, ...]]]
) -> Iterator[tuple[Op, tuple[Value, tuple[int, ...]], Value | None]]:
    """Yield each exponential that a value comes from with its sum, and the scores of a twin."""
    for exponential in origins(value, _EXPONENTIALS, PASSIVE):
        for summed in sums:
            for op in origins(summed[0], _EXPONENTIALS, PASSIVE):
                if _same(op, exponential) and not _is_tangent(exponential, value):
                    yield exponential, summed, None if op is exponential else _scores(op)


def _is_tangent(exponential: Op, value: Value) -> bool:
    """Whether an exponential was multiplied by a change of scores, as in a forward derivative."""
    start = exponential.outputs[0]
    reached = reach(start, fresh(start, "scores"), PASSIVE)
    if value not in reached:
        return False
    factors = (
        factor
        for v in chain(start, value, reached)[1:]
        if v.producer is not None and v.producer.name == "mul"
        for factor in v.producer.inputs
        if factor not in reached
    )
    return any(origins(factor, {"dot_general"}, PASSIVE) for factor in factors)


def _by_logarithm(op: Op) -> Iterator[Normalization]:
    """Yield `exp(scores - logsumexp(scores))`."""
    exponent = op.inputs[0]
    for logarithm in origins(exponent, {"log"}, PASSIVE):
        for summed in _sums(logarithm.inputs[0], _IN_LOGARITHM):
            for exponential in origins(summed[0], _EXPONENTIALS, PASSIVE):
                inner = exponential.inputs[0]
                common = _first_common(exponent, inner)
                if common is not None and common.shape == exponent.shape:
                    yield Normalization("softmax", op, _unshifted(common), summed, op)
                    return


def _sums(value: Value, passive: set[str]) -> Iterator[tuple[Value, tuple[int, ...]]]:
    """Yield the sums that a value comes from: what is summed, and over which axes."""
    for op in origins(value, {"reduce_sum", "dot_general"}, passive):
        if op.name == "reduce_sum":
            yield op.inputs[0], tuple(int(axis) for axis in op.params["axes"])
            continue
        contracted = op.params["dimension_numbers"][0]
        for side in (0, 1):
            if _is_one(op.inputs[1 - side]):
                yield op.inputs[side], tuple(int(axis) for axis in contracted[side])


def _is_one(value: Value) -> bool:
    """Whether an array consists of ones."""
    if value.literal is not None:
        return bool(np.all(np.asarray(value.literal) == 1))
    op = value.producer
    return op is not None and op.name in _MOVES and _is_one(op.inputs[0])


def _same(left: Op, right: Op, depth: int = 8) -> bool:
    """Whether two operations are written alike and have the same inputs."""
    if left is right or not depth:
        return left is right
    return (
        left.name == right.name
        and len(left.inputs) == len(right.inputs)
        and str(left.params) == str(right.params)
        and all(_same_value(*pair, depth) for pair in zip(left.inputs, right.inputs, strict=True))
    )


def _same_value(left: Value, right: Value, depth: int) -> bool:
    if left.producer is not None and right.producer is not None:
        return _same(left.producer, right.producer, depth - 1)
    if left.literal is not None and right.literal is not None:
        return np.array_equal(np.asarray(left.literal), np.asarray(right.literal))
    return left is right


def _scores(exponential: Op) -> Value:
    """Return the scores of an exponential, before their maximum was subtracted."""
    exponent = exponential.inputs[0]
    producer = exponent.producer
    if exponential.name == "exp2" and producer is not None and producer.name == "mul":
        scaled = [v for v in producer.inputs if not _is_log2_e(v)]
        if len(scaled) == 1:
            return _unshifted(scaled[0])
    return _unshifted(exponent)


def _is_log2_e(value: Value) -> bool:
    if value.literal is not None:
        return bool(np.allclose(np.asarray(value.literal, float), np.log2(np.e), rtol=1e-3))
    op = value.producer
    return op is not None and op.name in _MOVES and _is_log2_e(op.inputs[0])


def _unshifted(exponent: Value) -> Value:
    producer = exponent.producer
    if producer is None or producer.name != "sub":
        return exponent
    scores, shift = producer.inputs
    if shift.literal is not None:
        return scores
    for maximum in origins(shift, {"reduce_max"}, PASSIVE):
        common = _first_common(scores, maximum.inputs[0])
        if common is not None and len(common.shape) >= len(maximum.inputs[0].shape):
            return common
    is_constant = shift.producer is not None and shift.producer.name == "broadcast_in_dim"
    return scores if is_constant or 1 in shift.shape else exponent


def _first_common(value: Value, other: Value) -> Value | None:
    """Return the nearest value that both come from by passive operations."""
    others = set(_ancestors(other))
    return next((v for v in _ancestors(value) if v in others), None)


def _ancestors(value: Value) -> list[Value]:
    seen = [value]
    for v in seen:
        if v.producer is not None and v.producer.name in PASSIVE:
            seen += [u for u in v.producer.inputs if u not in seen]
    return seen
