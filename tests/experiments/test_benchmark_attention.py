import math
import sys

import numpy as np
import pytest

from experiments.benchmarks import attention_measure
from experiments.benchmarks.attention_cases import (
    FAR,
    FAR_TOKENS,
    LANDMARKS,
    LENGTHS,
    Case,
    cases,
    heads,
    inputs,
    probed,
    reference,
)
from experiments.benchmarks.attention_figure import draw
from experiments.benchmarks.attention_measure import measure, peak_memory, sides
from experiments.benchmarks.attention_report import report
from experiments.benchmarks.attention_targets import targets
from experiments.benchmarks.record import write

OURS, THEIRS = Case("streaming"), Case("jax.nn")


def _loss(query, key, value, cotangent, sees):
    """One query's context weighed by its cotangent, in plain loops."""
    exponentials = [
        math.exp(query @ key[j] / math.sqrt(len(query))) if sees(j) else 0.0
        for j in range(len(key))
    ]
    context = sum(e * v for e, v in zip(exponentials, value, strict=True)) / sum(exponentials)
    return context, context @ cotangent


@pytest.mark.parametrize(
    ("mask", "sees"),
    [
        ("full", lambda i, j: True),
        ("causal", lambda i, j: j <= i),
        ("window", lambda i, j: i - 5 < j <= i),
    ],
)
def test_the_reference_is_the_mean_seen_and_its_slope(mask, sees):
    arrays = inputs(13, 2)
    query, key, value, cotangent = arrays[:, 0, :, 0].astype(np.float64)
    context, slope = reference(Case("any", mask, "gradient", window=5), arrays)
    for at, i in enumerate(probed(13)):

        def loss(query, i=i):
            return _loss(query, key, value, cotangent[i], lambda j: sees(i, j))

        np.testing.assert_allclose(context[at], loss(query[i])[0], rtol=1e-12)
        step = np.zeros(len(query[i]))
        step[7] = 1e-5
        rise = loss(query[i] + step)[1] - loss(query[i] - step)[1]
        np.testing.assert_allclose(slope[at, 7], rise / 2e-5, rtol=1e-6, atol=1e-9)


@pytest.fixture(scope="module")
def jax_side():
    with sides("jax") as peers:
        yield peers


def test_a_length_is_measured_checked_and_written(jax_side, tmp_path, monkeypatch):
    monkeypatch.setattr(attention_measure, "MOST", (3, 60.0))
    found = measure(67, jax_side, {}, 67)
    assert set(found) == {case for case in cases(67) if "PyTorch" not in case.contender}
    assert all(len(about["seconds"]) == 3 for about in found.values())
    # All heads' scores of float32, which the plain form holds and XLA cannot do without.
    assert found[THEIRS]["temporaries"] >= 8 * 67 * 67 * 4
    figure = draw({67: found})
    assert [line.get_label() for line in figure.axes[0].lines[:3]] == [
        "streaming",
        "streaming + all",
        "jax.nn",
    ]
    page = write(report({67: found}, {}, "none"), tmp_path).read_text(encoding="utf-8")
    assert "67: jax.nn's forward / ours" in page
    assert "attention.png" in page


def test_masks_and_summaries_of_a_landmark_are_computed_alike(jax_side, monkeypatch):
    monkeypatch.setattr(attention_measure, "MOST", (1, 60.0))
    monkeypatch.setattr(attention_measure, "cases", lambda tokens: chosen)
    chosen = [
        case._replace(window=11) for case in cases(LANDMARKS[0]) if "PyTorch" not in case.contender
    ]
    assert {case.mask for case in chosen} == {"full", "causal", "window"}
    assert all("seconds" in about for about in measure(61, jax_side, {}, 61).values())


class Liar:
    def ask(self, question):
        rows = np.zeros((1, 3, 64)).tolist()
        return {"rows": rows} if question[0] == "probe" else {"seconds": 1.0}


def test_a_side_that_computes_something_else_is_refused():
    with pytest.raises(RuntimeError, match=r"streaming, full, forward: results differ by"):
        measure(67, {"jax": Liar()}, {}, 67)


def test_a_call_that_would_take_long_is_left_out_there_and_beyond():
    slow = {case: {"seconds": [3.0]} for case in cases(8192)}
    # A length four times as great has sixteen times the scores.
    found = measure(8192, {"jax": Liar()}, slow, 2048)
    assert {about["left_out"] for about in found.values()} == {"a call would take 48 s"}
    # Two heads of 16,384 have as many scores as eight of 8,192.
    assert measure(16384, {"jax": Liar()}, found, 8192)[OURS] == found[OURS]


def test_what_a_side_cannot_do_is_left_out_with_its_reason(jax_side):
    (peer,) = jax_side.values()
    peer.ask(["load", 2**17, 1])
    answer = peer.ask(["prepare", *THEIRS])
    assert answer == {"error": "more than 8,192 MiB of temporaries"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process its peak memory")
def test_memory_of_a_call_is_what_it_adds():
    (about,) = peak_memory(1021, 3, [THEIRS]).values()
    scores = 3 * 1021 * 1021 * 4
    assert scores <= about["call"] < 20 * scores
    assert about["process"] > about["call"]


def test_targets_are_medians_of_ratios_round_by_round():
    gradient = {"passes": "gradient"}
    found = {
        OURS: {"seconds": [1.0, 2.0, 4.0], "temporaries": 32 * 2**20},
        THEIRS: {"seconds": [9.0, 14.0]},
        OURS._replace(mask="causal"): {"seconds": [0.7, 1.4, 2.8]},
        OURS._replace(**gradient): {"seconds": [4.0, 9.0, 12.0], "temporaries": 2**27 + 2**19},
        Case("PyTorch sdpa"): {"seconds": [1.0, 1.0, 1.0]},
        Case("PyTorch sdpa", **gradient): {"seconds": [4.0, 4.5, 9.0]},
    }
    held = {FAR_TOKENS: {FAR: {"process": 512 * 2**20, "call": 1}}}
    rows = {what: rest for what, *rest in targets({8192: found}, held)}
    assert rows["8,192: jax.nn's forward / ours"] == ["8.00 (7.50–8.50)", "≥ 8", "yes"]
    assert rows["8,192: causal / full (aim 0.55)"] == ["0.70 (0.70–0.70)", "≤ 0.65", "no"]
    assert rows["8,192: forward, temporaries, MiB"] == ["32.0", "≤ 64", "yes"]
    assert rows["8,192: backward / forward"] == ["3.00 (2.50–3.25)", "≤ 3.5", "yes"]
    assert rows["8,192: backward / PyTorch's"] == ["1.00 (1.00–1.50)", "≤ 1.3", "yes"]
    assert rows["8,192: backward, temporaries, MiB"] == ["128.5", "≤ 128", "no"]
    assert rows["8,192: full summary / forward (aim 2.0)"] == ["–", "≤ 3", "–"]
    assert rows["131,072, one head, streaming, window 4,096: process, MiB"][0] == "512.0"


def test_every_length_has_our_two_passes_and_work_that_stays_bounded():
    for tokens in LENGTHS:
        chosen = cases(tokens)
        assert len(set(chosen)) == len(chosen)
        assert {OURS, OURS._replace(passes="gradient"), THEIRS, Case("auto")} <= set(chosen)
        assert heads(tokens) * tokens**2 <= 2 * 8 * 8192**2
    assert [heads(tokens) for tokens in (512, 8192, 16384, 32768)] == [8, 8, 2, 1]
