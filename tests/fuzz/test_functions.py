"""Every public function of `ops`, `hooks`, `measure` and `plot` against what must hold of it.

`make fuzz SEED=2 CASES=10000` draws so many new examples, shared among the functions in turn.
"""

import os

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
EXAMPLES = max(CASES // len(FUNCTIONS), 1) if CASES else 3
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
