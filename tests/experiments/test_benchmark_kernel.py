import pytest

from experiments.benchmarks.attention_cases import Case, heads, inputs, reference
from experiments.benchmarks.kernel import measure, report, rows
from experiments.benchmarks.kernel_sides import TORCH, WIDEST, Turn, turns
from experiments.benchmarks.record import write

TOKENS = 61
SECONDS = {"jax": 3.0, TORCH: 4.0, WIDEST: 2.0}


class Side:
    """A side that computes in float64, and says what time it takes."""

    def __init__(self, seconds, refuses=None):
        self.seconds, self.refuses, self.runs = seconds, refuses, 0

    def ask(self, question):
        verb, *rest = question
        case = Case(*rest) if verb != "load" else None
        if verb == "prepare" and case.contender == self.refuses:
            return {"error": "it has no top_k"}
        if verb == "probe":
            arrays = inputs(TOKENS, heads(TOKENS))
            return {"rows": [array.tolist() for array in reference(case, arrays)]}
        if verb == "run":
            self.runs += 1
            factor = 1.2 if case.contender == "kernel + entropy" else 1.0
            return {"seconds": 2 * self.seconds * factor, "cpu": self.seconds * factor}
        return {}


@pytest.fixture(scope="module")
def found():
    sides = {name: Side(seconds) for name, seconds in SECONDS.items()}
    sides["jax"].refuses = "kernel + all"
    found = measure(TOKENS, sides, 3)
    assert sides[TORCH].runs == 3 * 4  # two masks, two passes
    return found


def test_every_turn_is_timed_in_every_round(found):
    assert set(found) == set(turns())
    left_out = {turn.case.contender for turn, about in found.items() if "left_out" in about}
    assert left_out == {"kernel + all"}
    assert all(len(x["cpu"]) == len(x["seconds"]) == 3 for x in found.values() if "cpu" in x)


def test_ratios_stand_beside_their_targets(found, tmp_path):
    table = dict(rows({512: found}, "cpu"))
    assert table["full: forward / PyTorch's, widest"] == "1.50 (1.50–1.50) not ≤ 1.1"
    assert table["causal: forward and backward / PyTorch's as it comes"] == "0.75 (0.75–0.75)"
    assert table["full: with entropy and max logit / forward"] == "1.20 (1.20–1.20) not ≤ 1.1"
    assert table["full: with all of the summary / forward"] == "–"
    faster = found | {Turn("jax", Case("kernel")): {"cpu": [1.0, 2.0, 3.0]}}
    table = dict(rows({8192: faster}, "cpu"))
    assert table["full: forward / PyTorch's, widest"] == "1.00 (0.75–1.25) not ≤ 0.9"
    page = write(report({512: found}, "2.13"), tmp_path).read_text(encoding="utf-8")
    assert "Left out at 512: kernel + all, full, forward, it has no top_k." in page
    assert "without a mask: 6,000.0 ms on the wall" in page
