import math

import pytest

from experiments.trust.judging import Judged
from experiments.trust.rates import Rate, kinds_table, rates, rates_table, wilson, wrong


def test_wilson_intervals_follow_the_score_equation():
    # Both ends solve |share - end| = z sqrt(end (1 - end) / n).
    for times, total in ((1, 7), (5, 10), (95, 100)):
        for end in wilson(times, total):
            distance = abs(times / total - end)
            assert distance == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / total))
    assert wilson(0, 10)[0] == 0
    assert wilson(10, 10)[1] == pytest.approx(1)


def judged(label, reads, examples=256, kind="sharp"):
    answers = dict.fromkeys(("depends", "ranks", "mass"), reads)
    return Judged("drawn", kind, 0, label, {}, "whole", True, examples, reads, answers, {}, {}, 0.0)


def test_rates_count_what_is_false():
    models = [judged("faithful", "supports")] * 8 + [judged("faithful", "unclear")] * 2
    models += [judged("misleading", "supports", kind="sink"), judged("misleading", "against")]
    models += [judged("faithful", "against", 32), judged("graded", "supports")]
    results = {rate.name: rate for rate in rates(models)}
    assert results["faithful, supported, n = 256"][1:3] == (8, 10)
    assert not results["faithful, supported, n = 256"].met
    assert results["faithful, unclear, n = 256"][1:3] == (2, 10)
    assert results["misleading, supported, n = 256"][1:3] == (1, 2)
    assert results["faithful, against, n = 32"][1:3] == (1, 1)
    assert len(wrong(models)) == 4
    assert "| faithful | sharp | 8 / 2 / 1 | 0 / 0 / 1 |" in kinds_table(
        models[:10] + models[11:13]
    )


def test_a_target_is_printed_beside_its_rate():
    table = rates_table([Rate("some", 19, 20, least=95), Rate("others", 1, 10, most=5)])
    assert [line.split("|")[-2].strip() for line in table.splitlines()[2:]] == ["yes", "no"]
    assert "≥ 95 %" in table
    assert "10.0 %" in table
