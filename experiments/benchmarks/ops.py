"""Each operation beside the same mathematics, written as plainly as possible."""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax import ops
from experiments.benchmarks.ops_plain import PLAIN
from experiments.benchmarks.record import Result, machine, write

PART = "ops"
ROUNDS = 60
BATCH, TOKENS, FEATURES, HEADS, HIDDEN = 4, 256, 64, 4, 32


class Case(NamedTuple):
    """One of our functions and the plain function it is timed beside.

    Attributes:
        ours: Of the arrays.
        plain: The name of the plain function in `ops_plain`.
        arrays: What both take, all of floats.
    """

    ours: Callable[..., Array]
    plain: str
    arrays: tuple[Array, ...]


def _normal(*shape: int) -> Array:
    return jax.random.normal(jax.random.key(sum(shape)), shape) / shape[-1] ** 0.25


def _context(function: Callable[..., tuple[Array, Array]], *names: str) -> Callable[..., Array]:
    """Return the context of an attention that takes its parameters in order."""

    def context(query: Array, key: Array, value: Array, *parameters: Array) -> Array:
        return function(query, key, value, **dict(zip(names, parameters, strict=True)))[0]

    return context


def cases() -> dict[str, Case]:
    """Return the operations, by name."""
    tokens = (_normal(BATCH, TOKENS, FEATURES),) * 3
    heads = (_normal(BATCH, TOKENS, HEADS, FEATURES // HEADS),) * 3
    scores = (_normal(BATCH, TOKENS, TOKENS),)
    bias = ops.alibi_bias(TOKENS, TOKENS, num_heads=HEADS)
    w, w_hidden, v = _normal(FEATURES, FEATURES), _normal(FEATURES, HIDDEN), _normal(HIDDEN)
    projections = (_normal(FEATURES, HEADS, FEATURES // HEADS),) * 3
    w_out = _normal(HEADS, FEATURES // HEADS, FEATURES)
    energy = ("w_query", "w_key", "v")
    causal = functools.partial(ops.attention, causal=True)
    by_query = functools.partial(ops.additive_attention, block_size=1)
    multi = ("w_query", "w_key", "w_value", "w_out")
    return {
        "attention": Case(ops.attention, "jax.nn", heads),
        "attention, causal": Case(causal, "jax.nn, causal", heads),
        "attention, ALiBi": Case(
            lambda *x: ops.attention(*x, bias=bias[None]), "jax.nn, ALiBi", heads
        ),
        "dot_product": Case(_context(ops.dot_product_attention), "dot", tokens),
        "scaled_dot_product": Case(
            _context(ops.scaled_dot_product_attention), "scaled dot", tokens
        ),
        "bilinear": Case(_context(ops.bilinear_attention, "w"), "bilinear", (*tokens, w)),
        "cosine": Case(_context(ops.cosine_attention), "cosine", tokens),
        "additive": Case(
            _context(ops.additive_attention, *energy), "additive", (*tokens, w_hidden, w_hidden, v)
        ),
        "additive, block_size=1": Case(
            _context(by_query, *energy), "additive", (*tokens, w_hidden, w_hidden, v)
        ),
        "multi_head": Case(
            _context(ops.multi_head_attention, *multi), "multi-head", (*tokens, *projections, w_out)
        ),
        "linear": Case(ops.linear_attention, "linear", tokens),
        "softmax": Case(ops.softmax, "softmax", scores),
        "sparsemax": Case(ops.sparsemax, "sparsemax by sorting", scores),
        "entmax15": Case(ops.entmax15, "1.5-entmax by sorting", scores),
        "entmax, 1.3": Case(lambda s: ops.entmax(s, 1.3), "1.3-entmax by halving", scores),
        "soft_monotonic": Case(ops.soft_monotonic, "monotonic by dividing", scores),
    }


def compare(case: Case) -> dict[str, Any]:
    """Time both, forward and with gradients, one call of each in turn."""
    plain = PLAIN[case.plain]
    difference = float(jnp.abs(case.ours(*case.arrays) - plain(*case.arrays)).max())
    found: dict[str, Any] = {"difference": difference}
    for name, make in {"forward": jax.jit, "gradients": _gradients}.items():
        pair = make(case.ours), make(plain)
        _round(pair, case.arrays)
        rounds = [_round(pair[:: (-1) ** i], case.arrays)[:: (-1) ** i] for i in range(ROUNDS)]
        # Other work on the machine only ever adds, so the fastest rounds are compared.
        ours, theirs = (min(side) for side in zip(*rounds, strict=True))
        found[name] = {"seconds": [ours, theirs], "ratio": ours / theirs}
    return found


def _gradients(function: Callable[..., Array]) -> Callable[..., Any]:
    def total(arrays: tuple[Array, ...]) -> Array:
        return (function(*arrays) ** 2).sum()

    gradients = jax.jit(jax.grad(total))
    return lambda *arrays: gradients(arrays)


def _round(functions: Sequence[Callable[..., Any]], args: tuple[Array, ...]) -> list[float]:
    """Return the processor seconds of each, one after another; preemption is not counted."""
    seconds = []
    for fn in functions:
        start = time.process_time()
        jax.block_until_ready(fn(*args))
        seconds.append(time.process_time() - start)
    return seconds


def blocked_memory(tokens: int = 2048, hidden: int = 128) -> dict[str, float]:
    """Return the temporary memory that XLA plans for additive attention, in MiB."""
    array = jax.ShapeDtypeStruct((tokens, hidden), jnp.float32)
    w = jax.ShapeDtypeStruct((hidden, hidden), jnp.float32)
    arguments = (array, array, array, w, w, jax.ShapeDtypeStruct((hidden,), jnp.float32))
    found = {}
    for name, block_size in {"plain": None, "block_size=1": 1}.items():
        attend = functools.partial(ops.additive_attention, block_size=block_size)
        context = _context(attend, "w_query", "w_key", "v")
        gradients = jax.jit(jax.grad(lambda arrays, f=context: (f(*arrays) ** 2).sum()))
        for kind, lowered in {
            "forward": jax.jit(context).lower(*arguments),
            "gradients": gradients.lower(arguments),
        }.items():
            stats = lowered.compile().memory_analysis()
            if stats is not None:
                found[f"{name}, {kind}"] = stats.temp_size_in_bytes / 2**20
    return found


def report(measured: dict[str, Any], memory: dict[str, float], where: dict[str, Any]) -> Result:
    """Make the page."""
    rows = [
        [
            f"`{name}`",
            plain,
            f"{found['forward']['ratio']:.2f}",
            f"{found['gradients']['ratio']:.2f}",
            f"{found['difference']:.0e}",
        ]
        for name, (plain, found) in measured.items()
    ]
    held = "; ".join(f"{name} {mebibytes:.0f} MiB" for name, mebibytes in memory.items())
    return Result(
        part=PART,
        title="Operations beside plain mathematics",
        what=(
            "The processor time of each operation divided by that of the same mathematics written "
            "plainly (an einsum chain, `jax.nn.dot_product_attention`, or the paper's algorithm), "
            f"without masks. Below one, ours is faster. Batch {BATCH}, {TOKENS} queries and keys, "
            f"{FEATURES} features, {HEADS} heads, {HIDDEN} hidden units, float32; one call of each "
            f"in turn, alternating which goes first; the fastest of {ROUNDS}."
        ),
        header=("ours", "beside", "forward", "with gradients", "largest difference"),
        rows=rows,
        notes=[
            f"Temporary memory of additive attention, 2,048 queries and keys, 128 units: {held}.",
            "Plain mathematics gives NaN in a fully masked row; ours gives zeros. The checks of "
            "shapes cost nothing once compiled.",
        ],
        data={"ratios": {name: found for name, (_, found) in measured.items()}, "memory": memory},
        where=where,
    )


def main() -> None:
    """Measure and write the page."""
    where, measured = machine(), {}
    for name, case in cases().items():
        measured[name] = (case.plain, compare(case))
        ratios = (f"{measured[name][1][k]['ratio']:.2f}" for k in ("forward", "gradients"))
        print(name, *ratios, flush=True)
    write(report(measured, blocked_memory(), where))


if __name__ == "__main__":
    main()
