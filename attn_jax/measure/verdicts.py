"""Verdicts in words on the numbers of a card. Every threshold is here, with its reason."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from attn_jax.measure.card import CardLine, Reads

SAME_OUTPUT = 0.05
"""The total variation up to which two outputs count as the same, as in Jain and Wallace for two
classes."""

DIFFERENT_MAP = 0.5
"""The divergence, of at most 1 bit, from which two maps count as different explanations: two
distributions that share less than about half of their mass."""

AGREES = 0.3
"""Kendall's tau from which two rankings count as alike: 65 of 100 pairs in the same order."""

TIMES_CHANCE = 1.5
"""How much more than a random ranking a ranking by the map must move the prediction."""

MATTERS = 0.01
"""The smallest probability that counts as a change at all."""

TIED = 1e-3
"""The difference up to which a measure and its control count as tied: the card's last digit."""

ENOUGH_DEFINED = 0.5
"""The share of examples that must have a number before their mean says anything of the rest."""


class Interval(NamedTuple):
    """A mean over examples and both ends of its interval."""

    mean: Any
    low: Any
    high: Any


class Estimates(NamedTuple):
    """A measure of a map and of its baselines.

    Attributes:
        value: The measure of the map.
        random: The measure of random maps.
        uniform: The measure of uniform weights.
        difference: The map's measure minus that of random maps, paired by example.
        defined: The share of examples for which the map's measure is a number.
    """

    value: Interval
    random: Interval | None
    uniform: Interval | None
    difference: Interval | None
    defined: Any


Judgment = tuple[Reads, str]


def _removal(estimates: Estimates) -> Judgment:
    assert estimates.random is not None
    assert estimates.difference is not None
    value, random, high = estimates.value.mean, estimates.random.mean, estimates.difference.high
    if value < MATTERS and random < MATTERS:
        return "against", "removing keys changes nothing, whichever they are"
    words = (
        f"removing its top keys lowers the prediction by {value:.2f}, random keys by {random:.2f}"
    )
    if estimates.difference.low > 0 and value >= TIMES_CHANCE * random:
        return "supports", words
    # Even at the favorable end of the interval it changes less than that. Having too few examples
    # to tell is no evidence against a map.
    if high < (TIMES_CHANCE - 1) * random or high <= 0:
        return "against", f"{words}: do not read this map as an explanation"
    return "unclear", words


def _versus_random(
    better: int, words: str, won: str, lost: str, tied: str
) -> Callable[[Estimates], Judgment]:
    """Return a judge of a measure by its difference from that of random maps.

    Args:
        better: 1 if higher values are better, -1 if lower ones are.
        words: The verdict, with a place for one of the following.
        won: The map is better.
        lost: The map is worse.
        tied: Their difference is too small to count.
    """

    def judge(estimates: Estimates) -> Judgment:
        assert estimates.difference is not None
        mean, low, high = estimates.difference
        # Where the edits change nothing, rounding alone puts an interval beside zero.
        if abs(mean) <= TIED or low <= 0 <= high:
            return "unclear", words.format(tied)
        is_better = (mean > 0) == (better > 0)
        return ("supports", words.format(won)) if is_better else ("against", words.format(lost))

    return judge


def _permuted(estimates: Estimates) -> Judgment:
    words = f"permuting the weights changes the prediction by {estimates.value.mean:.2f}"
    if estimates.value.high < SAME_OUTPUT:
        return "against", f"{words}: it stays the same whatever the map says"
    return ("supports" if estimates.value.low > SAME_OUTPUT else "unclear"), words


def _adversarial(estimates: Estimates) -> Judgment:
    bits = f"{estimates.value.mean:.2f} bits away (of at most 1)"
    if estimates.value.low > DIFFERENT_MAP:
        return "against", (
            f"a map {bits} gives the same prediction: other maps explain it equally well"
        )
    if estimates.value.high < DIFFERENT_MAP:
        return "supports", f"the search reached no map with the same prediction beyond {bits}"
    return "unclear", f"a map {bits} gives the same prediction"


def _agrees(estimates: Estimates) -> Judgment:
    if estimates.value.low > AGREES:
        return "supports", "ranks the keys much as the map does"
    if estimates.value.high < AGREES:
        return "against", "ranks the keys differently"
    return "unclear", "agrees with the map to some degree"


_on_object = _versus_random(
    1, "falls on the object {} a random map does", "more than", "less than", "no more than"
)
_enough = _versus_random(
    -1,
    "its top keys alone preserve the prediction {} random keys",
    *("better than", "worse than", "no better than"),
)
_deletion = _versus_random(
    -1,
    "the prediction drops {} when keys are removed at random",
    *("faster than", "more slowly than", "no faster than"),
)
_insertion = _versus_random(
    1,
    "the prediction recovers {} when keys are added at random",
    *("faster than", "more slowly than", "no faster than"),
)

LINES = {
    "comprehensiveness": ("Comprehensiveness, higher is better", _removal),
    "sufficiency": ("Sufficiency, lower is better", _enough),
    "deletion": ("Deletion curve, lower is better", _deletion),
    "insertion": ("Insertion curve, higher is better", _insertion),
    "permuted": ("Permuted weights", _permuted),
    "adversarial": ("Adversarial weights, lower is better", _adversarial),
    "gradient": ("Gradient × weight, agreement (τ)", _agrees),
    "integrated_gradients": ("Integrated gradients, agreement (τ)", _agrees),
    "leave_one_out": ("Leave one out, agreement (τ)", _agrees),
    "pointing_game": ("Pointing game", _on_object),
    "mass_on_object": ("Mass on the object", _on_object),
}


def line(name: str, estimates: Estimates) -> CardLine:
    """Make the line of a measure.

    Args:
        name: The measure.
        estimates: Its numbers.

    Returns:
        The line.
    """
    title, judge = LINES[name]
    reads, verdict = _undefined(estimates) or judge(estimates)
    baselines = (estimates.random, estimates.uniform)
    random, uniform = (None if each is None else float(each.mean) for each in baselines)
    mean, low, high = map(float, estimates.value)
    return CardLine(name, title, mean, low, high, random, uniform, reads, verdict)


def _undefined(estimates: Estimates) -> Judgment | None:
    """Judge a measure that is a number for too few examples; None if it is for enough."""
    needed = (estimates.value, estimates.difference)
    if not all(math.isfinite(each.mean) for each in needed if each is not None):
        return "unclear", "not defined for any example"
    if estimates.defined < ENOUGH_DEFINED:
        return "unclear", f"defined for only {100 * estimates.defined:.0f} % of the examples"
    return None


def overall(lines: Mapping[str, CardLine]) -> Judgment:
    """Judge the map by all lines.

    Two things decide: whether the prediction depends on the weights at all, and whether it depends
    most on the keys that they rank highest. The other lines can only add reservations.

    Args:
        lines: The lines by name.

    Returns:
        One of three words, and a sentence.
    """
    reads = {name: each.reads for name, each in lines.items()}
    if reads["permuted"] == "against":
        return "against", (
            "Do not read this map as an explanation: the prediction hardly depends on it."
        )
    if reads["comprehensiveness"] == "against":
        return "against", (
            "Do not read this map as an explanation: its top keys matter no more than random keys."
        )
    if reads["comprehensiveness"] == "supports" and reads["permuted"] == "supports":
        doubts = [lines[name].title for name, each in reads.items() if each == "against"]
        if not doubts:
            return "supports", "This map can be read: the prediction depends on what it shows."
        listed = "; ".join(title.partition(",")[0].lower() for title in doubts)
        return "supports", (
            f"This map shows what the prediction depends on, with reservations ({listed})."
        )
    return "unclear", (
        "Read this map with care: it is not clear how far the prediction depends on it."
    )
