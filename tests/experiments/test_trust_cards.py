"""The report card's verdicts on models whose truth is known; `make trust` counts hundreds."""

import pytest

from experiments.trust import grammar, trained
from experiments.trust.judging import judge_drawn, judge_trained

FAITHFUL = ("sharp", "two", "linear", "tiny_logits", "causal", "windowed", "heads_split")
MISLEADING = (
    "decoy_evidence_second",
    "sink",
    "idle_heads_on_decoy",
    "moved",
    "causal_alike",
    "alike_sparse",
)
IGNORED = ("silent_at_evidence", "faint")
NUMBERS = {kind.name: number for number, kind in enumerate(grammar.KINDS)}


@pytest.mark.parametrize("kind", [*FAITHFUL, *MISLEADING, *IGNORED])
def test_a_drawn_model_is_supported_if_its_map_is_faithful(kind):
    (judged,) = judge_drawn([NUMBERS[kind]], 128)
    expected = "faithful" if kind in FAITHFUL else "misleading" if kind in MISLEADING else "ignored"
    assert (judged.kind, judged.label) == (kind, expected)
    assert (judged.reads == "supports") == (kind in FAITHFUL), judged.words


def test_a_decoy_fed_by_an_earlier_layer_is_not_believed():
    (recipe,) = (r for r in trained.RECIPES if r.context == "self" and r.losses.penalty)
    (judged,) = judge_trained((0,), 128, (recipe,))
    assert judged.label == "misleading"
    assert judged.reads != "supports", judged.words
