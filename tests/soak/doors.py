"""Calls that repeat, and functions made anew for each call: how the memory of a process grows.

Growth is that of the process's resident memory over a window of calls, after a warm-up, both ends
measured once garbage is collected and the C library has given back what it can. What remains is
noise: 0.1 MiB for calls that compile nothing, up to 2 MiB where they run on many threads of a busy
machine, each with its own heap, and up to 3 MiB for report cards, each of which compiles 26 MiB. A
leak grows in every window and noise does not, so one of six windows must pass.

Run as a program it prints the growth of each door, so that nothing else lives in the process.
"""

import ctypes
import gc
import json
import os
from pathlib import Path

import jax

from attn_jax import hooks, measure, ops

WINDOWS = 6


def resident():
    """Return the resident memory in MiB, without garbage and what can be given back."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def growth(call, warm_up, calls, bound):
    """Return the least growth in MiB of a few windows of calls; the first within bounds will do."""
    for _ in range(warm_up):
        call()
    windows = []
    while len(windows) < WINDOWS and not (windows and windows[-1] < bound):
        before = resident()
        for _ in range(calls):
            call()
        windows.append(resident() - before)
    return min(windows)


SHORT = jax.random.normal(jax.random.key(0), (128, 2, 8))
LONG = jax.random.normal(jax.random.key(1), (512, 1, 8))
BATCH = jax.random.normal(jax.random.key(2), (4, 5, 2))


def classifier():
    """A model made anew. It has no einsum, of which JAX itself keeps 7 KiB at each trace, up to
    2,048 times."""
    return lambda x: 5 * (hooks.tap("weights", jax.nn.softmax(3 * x[..., 0]))[:, None] @ x)[:, 0]


def stack():
    """A model made anew, with a loop whose body is new too."""
    return lambda x: jax.lax.scan(
        lambda x, _: (hooks.tap("weights", jax.nn.softmax(x)), None), x, length=3
    )[0]


def halve(weights, site):
    return weights / 2


def gradient(function):
    return lambda x: jax.grad(lambda query: function(query, x, x).sum())(x)


# The call, its argument, calls to warm up and calls that are measured, and the bound in MiB. Those
# that compile at each call, for their function is new, are fewer; each kept 1.7 MiB, a card 26 MiB.
DOORS = {
    "streaming": (lambda x: ops.streaming_attention(x, x, x, causal=True), SHORT, 50, 300, 1),
    "streaming gradient": (gradient(ops.streaming_attention), SHORT, 50, 300, 1),
    "attention": (lambda x: ops.attention(x, x, x), LONG, 50, 300, 1),
    "attention gradient": (gradient(ops.attention), LONG, 50, 300, 1),
    "capture": (lambda x: hooks.capture(classifier())(x), BATCH, 50, 300, 1),
    "intervene": (lambda x: hooks.intervene(classifier(), {"*": halve})(x), BATCH, 50, 300, 1),
    "capture in a loop": (lambda x: hooks.capture(stack())(x), BATCH, 5, 20, 1),
    "intervene in a loop": (lambda x: hooks.intervene(stack(), {"*": halve})(x), BATCH, 5, 20, 1),
    "report card": (lambda x: measure.report_card(classifier(), x), BATCH, 2, 2, 8),
}


def main():
    """Print the growth of each door in MiB, and that of a call which keeps 128 KiB each time."""
    left = []
    grown = {"a leak": growth(lambda: left.append(b"x" * 2**17), 1, 20, 1)}
    for name, (call, argument, warm_up, calls, bound) in DOORS.items():
        grown[name] = growth(
            lambda: jax.block_until_ready(call(argument)),  # noqa: B023
            warm_up,
            calls,
            bound,
        )
    print(json.dumps(grown))


if __name__ == "__main__":
    main()
