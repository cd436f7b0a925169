"""Derivatives of streaming attention to any order, in either mode and under any transformation.

Loops whose bounds depend on the data, as those over blocks, have no transpose, and a `custom_vjp`
has no forward mode. So the first derivative is a pair of linear primitives of their own, computed
block by block: `tangent_p` pushes tangents of the operands forward to the context, `cotangent_p`
pulls a cotangent of the context back to the operands, and each is the transpose of the other.
Their own derivatives, the second ones, are those of the formula with its whole map.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend import core
from jax.interpreters import ad, batching, mlir

from attn_jax.ops.streaming.backward import backward
from attn_jax.ops.streaming.blocks import Head, product
from attn_jax.ops.streaming.cpu import calls
from attn_jax.ops.streaming.forward import Softmax
from attn_jax.ops.streaming.plan import Arrays, Plan
from attn_jax.ops.streaming.tangent import push_forward

_DIFFERENTIABLE = ("query", "key", "value", "bias", "sink")


@dataclasses.dataclass(frozen=True)
class Signature:
    """The operands of a primitive by their places, after context, shift and log_sum.

    Attributes:
        plan: The plan of the call.
        names: The fields of `Head` that come next.
        of: Those of the fields that tangents go into, or gradients come out for.
        batched: For each `vmap` around the primitive, the innermost first, whether it maps over
            an operand; its axes stand in front, the outermost first. The context has them all.
    """

    plan: Plan
    names: tuple[str, ...]
    of: tuple[str, ...] = ()
    batched: tuple[tuple[bool, ...], ...] = ()

    @property
    def num_saved(self) -> int:
        """The number of operands that are neither tangents nor a cotangent."""
        return 3 + len(self.names)

    def place(self, name: str) -> int:
        """Return the place of a field among the operands."""
        return 3 + self.names.index(name)

    def split(self, args: Sequence[Any]) -> tuple[Arrays, Softmax, Any, Sequence[Any]]:
        """Return the fields, the softmax, the context and the linear operands."""
        context, shift, log_sum, *rest = args
        fields, linear = rest[: len(self.names)], rest[len(self.names) :]
        return dict(zip(self.names, fields, strict=True)), Softmax(shift, log_sum), context, linear

    def linear(self, of: Sequence[str], batched: Sequence[Sequence[bool]]) -> "Signature":
        """Return the signature of a derivative, whose linear operands are batched so."""
        levels = zip(self.batched, batched, strict=True)
        return dataclasses.replace(
            self,
            of=tuple(of),
            batched=tuple((*level[: self.num_saved], *more) for level, more in levels),
        )

    def sum_unbatched(self, gradient: Array, operand: int) -> Array:
        """Sum the gradient of an operand over the axes of `vmap` that it does not have."""
        last = len(self.batched) - 1
        axes = [last - n for n, level in enumerate(self.batched) if not level[operand]]
        return gradient.sum(axis=axes) if axes else gradient


def attach(plan: Plan, arrays: Arrays, softmax: Softmax, context: Array) -> Array:
    """Return the context, with derivatives with respect to the arrays that it was computed from."""
    signature = Signature(plan, tuple(arrays))
    (context,) = attach_p.bind(context, *softmax, *arrays.values(), signature=signature)
    return context


def _identity(signature: Signature, *args: Array) -> list[Array]:
    return [args[0]]


def _push(signature: Signature, *args: Array) -> list[Array]:
    """Compute the tangent of the context, block by block."""
    arrays, softmax, context, tangents = signature.split(args)
    arrays |= {"tangents": dict(zip(signature.of, tangents, strict=True))}
    push = functools.partial(push_forward, signature.plan.grid)
    return [signature.plan.over_heads(push, arrays, softmax, context)]


def _pull(signature: Signature, *args: Array) -> list[Array]:
    """Compute the gradients of the operands, block by block."""
    arrays, softmax, context, (cotangent,) = signature.split(args)
    of_bias = "bias" in signature.of

    def of_head(head: Head, *each: Any) -> dict[str, Array]:
        gradients = backward(signature.plan.grid, head, *each, of_bias=of_bias)
        return {name: getattr(gradients, name) for name in signature.of}

    if signature.plan.kernel == "cpu":
        given = arrays, softmax, context, cotangent
        gradients = calls.gradients(signature.plan, *given, of_bias=of_bias)
    else:
        gradients = signature.plan.over_heads(of_head, arrays, softmax, context, cotangent)
    return [_sum_shared(gradients[name], arrays[name]) for name in signature.of]


def _sum_shared(gradient: Array, like: Array) -> Array:
    """Sum a gradient of each head over the heads and sequences that share the operand."""
    batch, heads = like.shape[:2]
    if batch == 1:
        gradient = gradient.sum(axis=0, keepdims=True)
    group = gradient.shape[1] // heads
    grouped = gradient.reshape(gradient.shape[0], heads, group, *gradient.shape[2:])
    return grouped.sum(axis=2).astype(like.dtype)


def _formula(plan: Plan, arrays: Arrays) -> Array:
    """Compute the context from the whole map, as derivatives of any order can be taken of."""
    queries, keys = (n * size for n, size in zip(plan.grid.blocks, plan.grid.block, strict=True))
    grid = dataclasses.replace(plan.grid, block=(queries, keys))

    def of_head(head: Head) -> Array:
        scores = grid.scores(head, 0, 0, is_edge=True)
        largest = scores.max(axis=1)
        largest = largest if head.sink is None else jnp.maximum(largest, head.sink)
        shift = jax.lax.stop_gradient(jnp.where(largest == -jnp.inf, 0, largest))
        weights = jnp.exp(scores - shift[:, None])
        total = weights.sum(axis=1)
        total = total if head.sink is None else total + jnp.exp(head.sink - shift)
        weights /= jnp.where(total == 0, 1, total)[:, None]
        return product("qk,ke->qe", weights, head.value.astype(jnp.float32))[: grid.num_queries]

    return plan.over_heads(of_head, arrays)


def _push_formula(signature: Signature, *args: Array) -> list[Array]:
    arrays, _, _, tangents = signature.split(args)
    return [jax.jvp(*_of_fields(signature, arrays), tuple(tangents))[1]]


def _pull_formula(signature: Signature, *args: Array) -> list[Array]:
    arrays, _, _, (cotangent,) = signature.split(args)
    function, fields = _of_fields(signature, arrays)
    return list(jax.vjp(function, *fields)[1](cotangent))


def _of_fields(
    signature: Signature, arrays: Arrays
) -> tuple[Callable[..., Array], tuple[Array, ...]]:
    """Return the formula as a function of the fields that are differentiated, and these."""

    def function(*fields: Array) -> Array:
        return _formula(signature.plan, arrays | dict(zip(signature.of, fields, strict=True)))

    return function, tuple(arrays[name] for name in signature.of)


def _mapped(function: Callable[..., list[Array]]) -> Callable[..., list[Array]]:
    """Map a function over the axes of `vmap` that the operands of a primitive have."""

    def run(*args: Array, signature: Signature) -> list[Array]:
        once = functools.partial(function, signature)
        for level in signature.batched:
            once = jax.vmap(once, in_axes=tuple(0 if is_batched else None for is_batched in level))
        return once(*args)

    return run


def _is_zero(tangent: Any) -> bool:
    return isinstance(tangent, ad.Zero)


def _attach_jvp(primals, tangents, *, signature):
    out = attach_p.bind(*primals, signature=signature)
    of = [
        name for name in _DIFFERENTIABLE
        if name in signature.names and not _is_zero(tangents[signature.place(name)])
    ]  # fmt: skip
    if not of:
        return out, [jnp.zeros_like(x) for x in out]
    places = [signature.place(name) for name in of]
    inner = signature.linear(of, [[level[n] for n in places] for level in signature.batched])
    return out, tangent_p.bind(*primals, *(tangents[n] for n in places), signature=inner)


def _linear_jvp(primitive: core.Primitive, formula: Callable[..., list[Array]]) -> Callable:
    """Return the rule of a primitive that is linear in its last operands.

    In the others the formula is differentiated. Context and softmax, which follow from them, were
    computed without derivatives, so that nothing is counted twice.
    """

    def rule(primals, tangents, *, signature):
        out = primitive.bind(*primals, signature=signature)
        saved, linear = signature.num_saved, tangents[signature.num_saved :]
        changes = [[jnp.zeros_like(x) for x in out]]
        if not all(_is_zero(t) for t in linear):
            given = *primals[:saved], *(ad.instantiate_zeros(t) for t in linear)
            changes.append(primitive.bind(*given, signature=signature))
        places = [signature.place(n) for n in signature.names if n in _DIFFERENTIABLE]
        places = [n for n in places if not _is_zero(tangents[n])]
        if places:

            def of_fields(*fields: Array) -> list[Array]:
                args = list(primals)
                for n, field in zip(places, fields, strict=True):
                    args[n] = field
                return _mapped(formula)(*args, signature=signature)

            fields, moved = ([x[n] for n in places] for x in (primals, tangents))
            changes.append(jax.jvp(of_fields, fields, moved)[1])
        return out, [functools.reduce(jnp.add, each) for each in zip(*changes, strict=True)]

    return rule


def _push_transpose(cotangents, *args, signature):
    saved, (cotangent,) = signature.num_saved, cotangents
    is_open = [ad.is_undefined_primal(x) for x in args]
    if _is_zero(cotangent):
        return [None] * len(args)
    places = [n for n, undefined in enumerate(is_open) if undefined]
    inner = signature.linear(
        [signature.of[n - saved] for n in places], [[True]] * len(signature.batched)
    )
    gradients = cotangent_p.bind(*args[:saved], cotangent, signature=inner)
    results = [None] * len(args)
    for n, gradient in zip(places, gradients, strict=True):
        results[n] = signature.sum_unbatched(gradient, n)
    return results


def _pull_transpose(cotangents, *args, signature):
    saved = signature.num_saved
    of = [n for n, x in zip(signature.of, cotangents, strict=True) if not _is_zero(x)]
    given = [x for x in cotangents if not _is_zero(x)]
    if not given:
        return [None] * len(args)
    inner = signature.linear(of, [[True] * len(of)] * len(signature.batched))
    (tangent,) = tangent_p.bind(*args[:saved], *given, signature=inner)
    return [None] * saved + [signature.sum_unbatched(tangent, saved)]


def _batch(primitive: core.Primitive) -> Callable:
    def rule(args, dims, *, signature):
        size = next(x.shape[d] for x, d in zip(args, dims, strict=True) if d is not None)
        moved = [x if d is None else jnp.moveaxis(x, d, 0) for x, d in zip(args, dims, strict=True)]
        if dims[0] is None:
            moved[0] = jnp.broadcast_to(moved[0], (size, *moved[0].shape))
        level = True, *(d is not None for d in dims[1:])
        inner = dataclasses.replace(signature, batched=(*signature.batched, level))
        outs = primitive.bind(*moved, signature=inner)
        return outs, [0] * len(outs)

    return rule


def _context_shape(*avals, signature):
    return [avals[0]]


def _gradient_shapes(*avals, signature):
    outer = avals[0].shape[: len(signature.batched)]
    places = [signature.place(name) for name in signature.of]
    depths = [sum(level[n] for level in signature.batched) for n in places]
    return [
        avals[n].update(shape=(*outer, *avals[n].shape[depth:])) if depth < len(outer) else avals[n]
        for n, depth in zip(places, depths, strict=True)
    ]


def _primitive(name: str, function: Callable[..., list[Array]], shapes: Callable) -> core.Primitive:
    primitive = core.Primitive(name)
    primitive.multiple_results = True
    run = _mapped(function)
    primitive.def_impl(jax.jit(run, static_argnames="signature"))
    primitive.def_abstract_eval(shapes)
    mlir.register_lowering(primitive, mlir.lower_fun(run, multiple_results=True))
    batching.primitive_batchers[primitive] = _batch(primitive)
    return primitive


attach_p = _primitive("streaming_attention", _identity, _context_shape)
tangent_p = _primitive("streaming_attention_tangent", _push, _context_shape)
cotangent_p = _primitive("streaming_attention_cotangent", _pull, _gradient_shapes)
ad.primitive_jvps[attach_p] = _attach_jvp
ad.primitive_jvps[tangent_p] = _linear_jvp(tangent_p, _push_formula)
ad.primitive_jvps[cotangent_p] = _linear_jvp(cotangent_p, _pull_formula)
ad.primitive_transposes[tangent_p] = _push_transpose
ad.primitive_transposes[cotangent_p] = _pull_transpose
