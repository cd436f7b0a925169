"""The kinds of lines: what each is called, and how its numbers are judged in words."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from attn_jax.measure.card import verdicts
from attn_jax.measure.card.result import Question, Reads
from attn_jax.measure.card.statistics import Interval


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
