"""Memory that stays where it is; `doors.py` says how its growth is measured.

`make soak` does all public functions, each with an example of its fuzzing case.
"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from cases import Draw
from cases_hooks import HOOKS
from cases_measure import MEASURE
from cases_ops import OPS
from cases_plot import PLOT
from doors import DOORS, growth
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
pytestmark = pytest.mark.skipif(
    not (sys.platform.startswith("linux") and platform.libc_ver()[0] == "glibc"),
    reason="resident memory is read as Linux gives it, and only glibc gives memory back when asked",
)


@pytest.fixture(scope="module")
def grown():
    """The growth of each door, in a process in which no other test has left anything."""
    script = Path(__file__).with_name("doors.py")
    root = str(script.parents[2])
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": root},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", DOORS)
def test_memory_does_not_grow(name, grown):
    assert grown[name] < DOORS[name][-1]


def test_growth_is_seen(grown):
    assert grown["a leak"] > 1


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
