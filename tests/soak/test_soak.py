"""Memory that stays where it is: calls that repeat, and functions made anew for each call.

Growth is that of the process's resident memory over a window of calls, after a warm-up, both ends
measured once garbage is collected and the C library has given back what it can. What remains is
noise: 0.1 MiB for calls that compile nothing, and up to 3 MiB for report cards, each of which
compiles 26 MiB. A leak grows in every window and noise does not, so one of three windows must pass.
`make soak` does all public functions, each with an example of its fuzzing case.
"""

import ctypes
import gc
import os
import sys
from pathlib import Path

import jax
import pytest
from cases import Draw
from cases_hooks import HOOKS
from cases_measure import MEASURE
from cases_ops import OPS
from cases_plot import PLOT
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_jax import hooks, measure, ops, plot

IS_WHOLE = bool(os.environ.get("ATTN_JAX_SOAK"))
PACKAGES = {ops: OPS, hooks: HOOKS, measure: MEASURE, plot: PLOT}
FUNCTIONS = [
    pytest.param(getattr(package, name), case, id=f"{package.__name__.rpartition('.')[2]}-{name}")
    for package, cases in PACKAGES.items()
    for name, case in cases.items()
    if IS_WHOLE
]
WINDOWS = 3

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="resident memory is read as Linux gives it"
)


def resident():
    """Return the resident memory in MiB, without garbage and what can be given back."""
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        pytest.skip("only glibc gives memory back when asked, so that growth can be measured")
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


@pytest.mark.parametrize("name", DOORS)
def test_memory_does_not_grow(name):
    call, argument, warm_up, calls, bound = DOORS[name]
    assert growth(lambda: jax.block_until_ready(call(argument)), warm_up, calls, bound) < bound


def test_growth_is_seen():
    kept = []
    assert growth(lambda: kept.append(b"x" * 2**17), 1, 20, 1) > 1


@pytest.mark.skipif(not IS_WHOLE, reason="`make soak` does every public function")
@pytest.mark.parametrize(("function", "case"), FUNCTIONS)
def test_memory_does_not_grow_with_any_function(function, case):
    # Functions that compile at each call are slow, and hold more memory while they run.
    calls, bound = (300, 1) if case.share == 1 else (6, 8)

    @settings(max_examples=1, database=None, deadline=None, derandomize=True)
    @given(st.data())
    def soaks(data):
        arguments = case.arguments(Draw(data.draw))
        call = lambda: case.run(function, arguments)  # noqa: E731
        assert growth(call, max(calls // 6, 3), calls, bound) < bound

    soaks()
