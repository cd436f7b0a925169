"""Every public function of `ops`, `hooks`, `measure` and `plot` against what must hold of it.

`make fuzz SEED=2 CASES=10000` draws so many new examples, shared among the functions in turn.
"""

import contextlib
import os

import numpy as np
import pytest
from cases import Draw
from cases_hooks import HOOKS
from cases_measure import MEASURE
from cases_ops import OPS
from cases_plot import PLOT
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from attn_jax import hooks, measure, ops, plot

SEED = int(os.environ.get("ATTN_JAX_FUZZ_SEED", 0))
CASES = int(os.environ.get("ATTN_JAX_FUZZ_CASES", 0))
PACKAGES = {ops: OPS, hooks: HOOKS, measure: MEASURE, plot: PLOT}
FUNCTIONS = [
    pytest.param(getattr(package, name), case, id=f"{package.__name__.rpartition('.')[2]}-{name}")
    for package, cases in PACKAGES.items()
    for name, case in cases.items()
]
# A few examples of each function in `make check`; as many as were asked for in `make fuzz`.
EXAMPLES = max(CASES // len(FUNCTIONS), 1) if CASES else 2
SETTINGS = settings(
    derandomize=False,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate] + ([Phase.shrink] if CASES else []),
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_public_name_has_a_case(package):
    assert set(package.__all__) == set(PACKAGES[package])


@pytest.mark.parametrize(("function", "case"), FUNCTIONS)
def test_a_function_keeps_its_promise(function, case):
    @seed(SEED)
    @settings(SETTINGS, max_examples=max(round(EXAMPLES * case.share), 1))
    @given(st.data())
    def keeps(data):
        arguments = case.arguments(Draw(data.draw))
        case.check(case.run(function, arguments), **arguments)

    keeps()


def misfit(draw, arguments):
    """Cut, wrap or empty one of the arrays, so that it may not fit the others."""
    arrays = [n for n, x in arguments.items() if isinstance(x, np.ndarray) and x.ndim and x.size]
    if not arrays:
        return arguments
    name, change = draw.pick(*arrays), draw.pick("cut", "first", "wrapped", "empty", "integers")
    x = arguments[name]
    changed = {"cut": x[..., :-1], "first": x[0], "wrapped": x[None], "empty": x[:0]}
    return arguments | {
        name: changed.get(change, np.nan_to_num(x, posinf=0, neginf=0).astype(np.int32))
    }


# Misfits compile programs of their own: each fourth function without `make fuzz`, for time.
@pytest.mark.parametrize(("function", "case"), FUNCTIONS if CASES else FUNCTIONS[::4])
def test_what_does_not_fit_is_refused_in_words(function, case, unchecked):
    @seed(SEED)
    @settings(SETTINGS, max_examples=max(round(EXAMPLES * case.share / 2), 1))
    @given(st.data())
    def refuses(data):
        draw = Draw(data.draw)
        arguments = misfit(draw, case.arguments(draw))
        # A ValueError or a TypeError says what does not fit; anything else is a fault.
        with contextlib.suppress(ValueError, TypeError):
            case.run(function, arguments)

    refuses()
