"""The lines of a card: each measure beside its baselines, with a verdict in words."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from attn_jax.measure.card import verdicts
from attn_jax.measure.card.measured import Measure, Measures
from attn_jax.measure.card.result import CardLine, Question, Reads
from attn_jax.measure.card.statistics import Interval, holm, ratio_of


class Estimates(NamedTuple):
    """A measure of a map and of its baselines.

    Attributes:
        value: The measure of the map.
        random: The mean of the measure over random maps, or None.
        uniform: The same with uniform weights, or None.
        difference: The mean difference from random maps, paired by example.
        above: The p-value of the claim that this difference is positive, corrected.
        below: The p-value of the claim that it is negative.
        defined: The share of examples for which the map's measure is a number.
    """

    value: Interval
    random: float | None
    uniform: float | None
    difference: float
    above: float
    below: float
    defined: float


Judge = Callable[[Estimates, verdicts.Read], tuple[Reads, str]]


def _versus_random(
    better: int, words: str, won: str, lost: str, tied: str, least: float = verdicts.MATTERS
) -> Judge:
    """Return a judge of a measure by its difference from that of random maps.

    Args:
        better: 1 if higher values are better, -1 if lower ones are.
        words: The verdict, with a place for one of the following.
        won: The map is better.
        lost: The map is worse.
        tied: Their difference is too small to count.
        least: The smallest difference that counts.
    """

    def judge(estimates: Estimates, read: verdicts.Read) -> tuple[Reads, str]:
        p = estimates.above if estimates.difference > 0 else estimates.below
        if abs(estimates.difference) < least or p >= verdicts.SIGNIFICANT:
            return "unclear", words.format(tied)
        is_better = (estimates.difference > 0) == (better > 0)
        return ("supports", words.format(won)) if is_better else ("against", words.format(lost))

    return judge


def _adversarial(estimates: Estimates, read: verdicts.Read) -> tuple[Reads, str]:
    bits = f"{estimates.value.mean:.2f} bits away (of at most 1)"
    if estimates.value.low > verdicts.DIFFERENT_MAP:
        return "against", (
            f"a map {bits} gives the same prediction: other maps explain it equally well"
        )
    if estimates.value.high < verdicts.DIFFERENT_MAP:
        return "supports", f"the search reached no map with the same prediction beyond {bits}"
    return "unclear", f"a map {bits} gives the same prediction"


def _randomized(estimates: Estimates, read: verdicts.Read) -> tuple[Reads, str]:
    if estimates.value.low > verdicts.SAME_MAP:
        return "against", "much the same map with the parameters shuffled: it shows no learning"
    if estimates.value.high < verdicts.SAME_MAP:
        return "supports", "another map with the parameters shuffled"
    return "unclear", "partly another map with the parameters shuffled"


def _agrees(other: str) -> Judge:
    return _versus_random(
        1,
        "ranks the keys {}",
        f"like {other}",
        f"against {other}",
        f"like {other} no more than a shuffled map does",
        least=verdicts.AGREES,
    )


class Kind(NamedTuple):
    """How a measure is shown.

    Attributes:
        title: Its name.
        question: The question that it helps to answer, or an empty string.
        bounds: The range of its values, if there is one.
        judge: Returns what it reads and says; None if a decisive test does.
        words: What is said if a decisive test supports the map, speaks against it, or does neither.
    """

    title: str
    question: Question | Literal[""]
    bounds: tuple[float, float] | None
    judge: Judge | None
    words: tuple[str, ...] = ()


_SHARE, _CHANGE, _TAU = (0.0, 1.0), (-1.0, 1.0), (-1.0, 1.0)

KINDS: dict[str, Kind] = {
    "through": Kind(
        "Share of the score through it",
        "depends",
        None,
        None,
        (
            "enough of the score passes through it",
            "hardly any of the score passes through it",
            "perhaps too little of the score passes through it",
        ),
    ),
    "permuted": Kind(
        "Effect lost by exchanged mass",
        "depends",
        None,
        None,
        (
            "its mass would not do the same on other keys",
            "its mass would do the same on other keys",
            "its mass might do the same on other keys",
        ),
    ),
    "ranking": Kind(
        "Order of the map (0 random, 1 best)",
        "ranks",
        None,
        None,
        (
            "its top keys matter more than others",
            "its top keys matter no more than others",
            "its top keys may matter no more than others",
        ),
    ),
    "inputs": Kind(
        "Inputs that decide elsewhere",
        "ranks",
        None,
        None,
        (
            "inputs at other keys decide little",
            "inputs at other keys decide much",
            "inputs at other keys may decide much",
        ),
    ),
    "comprehensiveness": Kind(
        "Comprehensiveness, higher is better",
        "ranks",
        _CHANGE,
        _versus_random(
            1,
            "removing its top keys lowers the prediction {} random keys",
            *("more than", "less than", "no more than"),
        ),
    ),
    "sufficiency": Kind(
        "Sufficiency, lower is better",
        "ranks",
        _CHANGE,
        _versus_random(
            -1,
            "its top keys alone preserve the prediction {} random keys",
            *("better than", "worse than", "no better than"),
        ),
    ),
    "deletion": Kind(
        "Deletion curve, lower is better",
        "ranks",
        _SHARE,
        _versus_random(
            -1,
            "the prediction drops {} when keys are removed at random",
            *("faster than", "more slowly than", "no faster than"),
        ),
    ),
    "insertion": Kind(
        "Insertion curve, higher is better",
        "ranks",
        _SHARE,
        _versus_random(
            1,
            "the prediction recovers {} when keys are added at random",
            *("faster than", "more slowly than", "no faster than"),
        ),
    ),
    "gradient": Kind("Gradient × weight, agreement (τ)", "ranks", _TAU, _agrees("gradients")),
    "integrated_gradients": Kind(
        "Integrated gradients, agreement (τ)", "ranks", _TAU, _agrees("integrated gradients")
    ),
    "leave_one_out": Kind(
        "Leave one out, agreement (τ)", "ranks", _TAU, _agrees("leaving one out")
    ),
    "overlap": Kind(
        "Overlap with the contributions",
        "mass",
        _SHARE,
        None,
        (
            "most of its mass is where the contributions are",
            "too little of its mass is where the contributions are",
            "perhaps too little of its mass is where the contributions are",
        ),
    ),
    "top_key": Kind(
        "Mass of the top key beyond its part",
        "mass",
        _CHANGE,
        None,
        (
            "about as much as its contribution",
            "far more than its contribution",
            "perhaps more than its contribution",
        ),
    ),
    "adversarial": Kind("Adversarial weights, lower is better", "", _SHARE, _adversarial),
    "randomization": Kind("Shuffled parameters, agreement (τ)", "", _TAU, _randomized),
    "pointing_game": Kind(
        "Pointing game",
        "",
        _SHARE,
        _versus_random(
            1,
            "falls on the object {} a random map does",
            *("more than", "less than", "no more than"),
        ),
    ),
    "mass_on_object": Kind(
        "Mass on the object",
        "",
        _SHARE,
        _versus_random(
            1,
            "falls on the object {} a random map does",
            *("more than", "less than", "no more than"),
        ),
    ),
}


def card_lines(measures: Measures, read: verdicts.Read) -> tuple[CardLine, ...]:
    """Make the lines of a card.

    Args:
        measures: The measures by name, on the host.
        read: What the decisive tests say.
    """
    names = [name for name in KINDS if name in measures]
    estimates = _estimate({name: measures[name] for name in names})
    return tuple(line(name, estimates[name], read) for name in names)


def line(name: str, estimates: Estimates, read: verdicts.Read) -> CardLine:
    """Make the line of a measure.

    Args:
        name: The measure.
        estimates: Its numbers.
        read: What the decisive tests say.
    """
    kind = KINDS[name]
    reads, verdict = _undefined(estimates, kind) or _judge(name, kind, estimates, read)
    mean, low, high = map(float, estimates.value)
    return CardLine(
        name,
        kind.title,
        kind.question,
        mean,
        low,
        high,
        estimates.random,
        estimates.uniform,
        reads,
        verdict,
    )


def _judge(name: str, kind: Kind, estimates: Estimates, read: verdicts.Read) -> tuple[Reads, str]:
    if kind.judge is not None:
        return kind.judge(estimates, read)
    phrases = dict(zip(("supports", "against", "unclear"), kind.words, strict=True))
    return read[name], phrases[read[name]]


def _undefined(estimates: Estimates, kind: Kind) -> tuple[Reads, str] | None:
    """Judge a measure that is a number for too few examples; None if it is for enough."""
    needed = [estimates.value.mean]
    if kind.judge is not None and estimates.random is not None:
        needed.append(estimates.difference)
    if not np.isfinite(needed).all():
        return "unclear", "not defined for any example"
    if estimates.defined < verdicts.ENOUGH_DEFINED:
        return "unclear", f"defined for only {100 * estimates.defined:.0f} % of the examples"
    return None


def _estimate(measures: Mapping[str, Measure]) -> dict[str, Estimates]:
    """Return means, intervals, and tests of the differences from random maps."""
    differences = {
        name: ratio_of(np.asarray(measure.value) - np.asarray(measure.random), measure.whole)
        for name, measure in measures.items()
        if measure.random is not None
    }
    above = holm([each.above(0.0) for each in differences.values()])
    below = holm([each.below(0.0) for each in differences.values()])
    p_values = dict(zip(differences, zip(above, below, strict=True), strict=True))
    estimates = {}
    for name, measure in measures.items():
        ratio = ratio_of(measure.value, measure.whole)
        difference = differences[name].ratio if name in differences else np.nan
        estimates[name] = Estimates(
            ratio.interval(KINDS[name].bounds),
            _mean(measure.random, measure.whole),
            _mean(measure.uniform, measure.whole),
            difference,
            *p_values.get(name, (1.0, 1.0)),
            len(ratio.value) / max(ratio.examples, 1),
        )
    return estimates


def _mean(values: Any, whole: Any) -> float | None:
    return None if values is None else ratio_of(values, whole).ratio
