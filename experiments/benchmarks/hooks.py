"""The cost of hooks in time, tracing and memory, beside returning the weights by hand."""

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jax import Array, lax

from attn_jax import nn, ops
from attn_jax.hooks import capture, entropy, row_blocked, tap, tap_attention
from experiments.benchmarks.record import Result, machine, write

PART = "hooks"
ROUNDS = 201
DIM, HEADS, LAYERS, TOKENS = 128, 4, 6, 256
TRACED_LAYERS = 24
LONG_LAYERS, LONG_HEADS, LONG_TOKENS, LONG_HEAD_DIM = 8, 4, 2048, 32
BLOCK = 128
Mark = Callable[[str, Array], Array]


def layer(x: Array, params: Array, mark: Mark) -> tuple[Array, Array]:
    """Apply one layer of plain attention; return the next state and the weights."""
    query, key, value = (
        (x @ w).reshape(*x.shape[:-1], HEADS, DIM // HEADS).swapaxes(-2, -3) for w in params[:3]
    )
    scores = ops.scaled_dot_product_scores(query, key)
    weights = mark("weights", ops.softmax(scores))
    context = ops.weigh(weights, value).swapaxes(-2, -3).reshape(x.shape)
    return x + jnp.tanh(context @ params[3]), weights


def unrolled(x: Array, params: Array, mark: Mark) -> tuple[Array, dict[str, Array]]:
    """Apply the layers one by one; return the weights by hand as well."""
    by_hand = {}
    for i in range(LAYERS):
        with jax.named_scope(f"layers_{i}"):
            x, by_hand[f"layers.{i}.weights"] = layer(x, params[i], mark)
    return x, by_hand


def scanned(x: Array, params: Array, mark: Mark) -> tuple[Array, dict[str, Array]]:
    """Apply the layers in a scan; return the weights by hand as well."""

    def step(x, params):
        with jax.named_scope("layers"):
            return layer(x, params, mark)

    x, weights = lax.scan(step, x, params)
    return x, {"layers.*.weights": weights}


def with_taps(model: Callable[..., Any]) -> Callable[..., Array]:
    """Return a model that carries taps of its own."""
    return lambda x, params: model(x, params, tap)[0]


def found(model: Callable[..., Any]) -> Callable[..., Array]:
    """Return a model without taps, whose attention is found in its program."""
    return tap_attention(lambda x, params: model(x, params, unnamed)[0])


def unnamed(name: str, value: Array) -> Array:
    """Return the value alone."""
    return value


def on_cost(model: Callable[..., Any], tapped: Callable[..., Array]) -> dict[str, Any]:
    """Time a jitted capture and the same model returning its weights by hand, in turn."""
    x = jax.random.normal(jax.random.key(0), (2, TOKENS, DIM))
    params = jax.random.normal(jax.random.key(1), (LAYERS, 4, DIM, DIM)) / DIM**0.5

    @jax.jit
    def by_hand(x, params):
        return model(x, params, unnamed)

    captured = jax.jit(capture(tapped, "*.weights"))
    pairs = [(_seconds(captured, x, params), _seconds(by_hand, x, params)) for _ in range(ROUNDS)]
    counted = [fn.lower(x, params).compile().cost_analysis() for fn in (captured, by_hand)]
    ours, theirs = (list(side) for side in zip(*pairs[1:], strict=True))
    # Other work on the machine only ever adds, so the fastest rounds are compared.
    return {
        "seconds": [ours, theirs],
        "ratio": min(ours) / min(theirs),
        "bytes": [cost["bytes accessed"] for cost in counted if cost],
        "flops": [cost["flops"] for cost in counted if cost],
    }


def _seconds(fn: Callable[..., Any], *args: Any) -> float:
    start = time.perf_counter()
    jax.block_until_ready(fn(*args))
    return time.perf_counter() - start


class Block(linen.Module):
    """A typical layer of a Transformer in Linen, with attention of ours or of Flax."""

    attention: Callable[..., linen.Module]

    @linen.compact
    def __call__(self, x: Array) -> Array:
        """Attend, then apply the feed-forward network."""
        x = x + self.attention(num_heads=HEADS, name="attention")(linen.LayerNorm()(x))
        hidden = linen.gelu(linen.Dense(4 * DIM)(linen.LayerNorm()(x)))
        return x + linen.Dense(DIM)(hidden)


class Tower(linen.Module):
    """The layers that are traced."""

    attention: Callable[..., linen.Module] = nn.MultiHeadAttention

    def setup(self) -> None:
        """Make the layers."""
        self.layers = [Block(self.attention) for _ in range(TRACED_LAYERS)]

    def __call__(self, x: Array) -> Array:
        """Apply the layers."""
        for block in self.layers:
            x = block(x)
        return x


def trace_cost() -> dict[str, dict[str, Any]]:
    """Time tracing a deep model: plainly, under capture, and with its attention found."""
    ours, stock = Tower(), Tower(linen.MultiHeadDotProductAttention)
    tapped = tap_attention(stock.apply)
    return {
        "under capture": _trace_ratio(ours, capture(ours.apply, "*.weights")),
        "under tap_attention": _trace_ratio(stock, tapped),
        "under tap_attention and capture": _trace_ratio(stock, capture(tapped, "*.weights")),
    }


def _trace_ratio(model: linen.Module, transformed: Callable[..., Any]) -> dict[str, Any]:
    x = jnp.ones((2, TOKENS, DIM))
    variables = jax.eval_shape(model.init, jax.random.key(0), x)
    pairs = []
    for _ in range(7):
        pairs.append([_trace_seconds(fn, variables, x) for fn in (transformed, model.apply)])
    ours, plain = (min(side) for side in zip(*pairs[1:], strict=True))
    return {"seconds": [ours, plain], "ratio": ours / plain}


def _trace_seconds(fn: Callable[..., Any], *args: Any) -> float:
    def fresh(*args):  # a new function, which is in no cache of JAX
        return fn(*args)

    start = time.perf_counter()
    jax.make_jaxpr(fresh)(*args)
    return time.perf_counter() - start


def memory() -> dict[str, dict[str, int]]:
    """Compile a long fused model: plain, with the entropy by blocks of rows, with the weights."""
    shape = (1, LONG_TOKENS, LONG_HEADS, LONG_HEAD_DIM)

    def model(x: Array, scales: Array) -> Array:
        for i in range(LONG_LAYERS):
            with jax.named_scope(f"layers_{i}"):
                x = x + ops.attention(x * scales[i], x, x, causal=True)
        return x

    specs: Mapping[str, Any] = {
        "entropy": {"*.weights": row_blocked(entropy, BLOCK)},
        "weights": "*.weights",
    }
    programs = {"plain": model} | {name: capture(model, spec) for name, spec in specs.items()}
    arguments = jax.ShapeDtypeStruct(shape, jnp.float32), jnp.ones(LONG_LAYERS)
    return {name: _bytes(fn, *arguments) for name, fn in programs.items()}


def _bytes(fn: Callable[..., Any], *args: Any) -> dict[str, int]:
    analysis = jax.jit(fn).lower(*args).compile().memory_analysis()
    assert analysis is not None
    return {"out": analysis.output_size_in_bytes, "temporary": analysis.temp_size_in_bytes}


def report(times: Mapping[str, Any], trace: Mapping[str, Any], sizes: Mapping[str, Any]) -> Result:
    """Make the page."""
    mib = functools.partial(_mib, sizes)
    out = sizes["entropy"]["out"] - sizes["plain"]["out"]
    rows = [
        (f"capture of {LAYERS} layers {name}, time", f"{cost['ratio']:.3f}", "by hand", "1.05")
        for name, cost in times.items()
    ]
    growth = sizes["entropy"]["temporary"] / sizes["plain"]["temporary"]
    rows += [
        *(
            (f"tracing {TRACED_LAYERS} layers {name}", f"{cost['ratio']:.2f}", "plain trace", limit)
            for (name, cost), limit in zip(trace.items(), ("2", "2", ""), strict=True)
        ),
        ("entropy by rows, temporaries", f"{growth:.3f}", "plain call", "1.10"),
        ("entropy by rows, results", f"{out / 2**20:.2f} MiB", "", "1 MiB"),
    ]
    return Result(
        part=PART,
        title="The cost of hooks",
        what=(
            "Three comparisons: `jit(capture(f, ...))` with the same function returning its "
            f"weights by hand, in turn, the fastest of {ROUNDS - 1} rounds; tracing a Linen model "
            "plainly and transformed; and the memory XLA plans for a fused model of "
            f"{LONG_LAYERS} layers, {LONG_HEADS} heads and {LONG_TOKENS} tokens with and without "
            f"the entropy of every row, computed by blocks of {BLOCK} rows. Without capture, hook "
            "points cost nothing: a test checks that the two programs are equal, byte for byte."
        ),
        header=("quantity", "ratio or size", "compared with", "limit"),
        rows=rows,
        notes=[
            "Operations and bytes XLA counts in the two programs, capture and by hand: "
            + "; ".join(_counts(name, cost) for name, cost in times.items())
            + ".",
            f"Temporaries of the fused model: {mib('plain', 'temporary')} plain, "
            f"{mib('entropy', 'temporary')} with the entropy, {mib('weights', 'temporary')} with "
            f"all weights, which are {mib('weights', 'out')} of results.",
        ],
        data={"time": dict(times), "trace": dict(trace), "memory": dict(sizes)},
    )


def _counts(name: str, cost: Mapping[str, Any]) -> str:
    flops, moved = ("/".join(f"{n / 1e6:.1f}" for n in cost[key]) for key in ("flops", "bytes"))
    return f"{name}, {flops} million operations and {moved} MB moved"


def _mib(sizes: Mapping[str, Mapping[str, int]], program: str, kind: str) -> str:
    return f"{sizes[program][kind] / 2**20:.1f} MiB"


def main() -> None:
    """Measure everything and write the page."""
    where = machine()
    models = (unrolled, scanned)
    times = {model.__name__: on_cost(model, with_taps(model)) for model in models}
    times |= {f"{model.__name__}, found": on_cost(model, found(model)) for model in models}
    write(dataclasses.replace(report(times, trace_cost(), memory()), where=where))


if __name__ == "__main__":
    main()
