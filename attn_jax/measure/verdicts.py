"""From the numbers of a card to words. Every threshold stands here, with its reason."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from attn_jax.measure.card import CardLine, Reads

SAME_OUTPUT = 0.05
"""The total variation up to which two outputs count as the same, as Jain and Wallace had it for
two classes."""

DIFFERENT_MAP = 0.5
"""The divergence, in bits of 1, from which two maps tell different stories: two distributions
that share less than about half of their mass."""

AGREES = 0.3
"""Kendall's tau from which two rankings count as alike: 65 of 100 pairs in the same order."""

TIMES_CHANCE = 1.5
"""How much more than a random ranking a ranking by the map must move the prediction."""

MATTERS = 0.01
"""The least probability that counts as a move at all."""


class Interval(NamedTuple):
    """A mean over examples and both ends of its interval."""

    mean: Any
    low: Any
    high: Any


class Found(NamedTuple):
    """A measure of a map, of its baselines, and of the paired difference to the random one."""

    value: Interval
    random: Interval | None
    uniform: Interval | None
    ahead: Interval | None


Judged = tuple[Reads, str]


def _removal(found: Found) -> Judged:
    assert found.random is not None
    assert found.ahead is not None
    ratio = found.value.mean / max(found.random.mean, 1e-6)
    moved = f"taking its highest keys moves the prediction {_times(ratio)} what chance does"
    if found.value.mean < MATTERS and found.random.mean < MATTERS:
        return "against", "taking keys away moves nothing, whichever they are"
    if found.ahead.low > 0 and ratio >= TIMES_CHANCE:
        return "supports", moved
    # Even at the favourable end of the interval it moves less than that: too few examples to tell
    # are no evidence against a map.
    if found.ahead.high < (TIMES_CHANCE - 1) * found.random.mean or found.ahead.high <= 0:
        return "against", f"{moved}: do not read this map as an explanation"
    return "unclear", moved


def _enough(found: Found) -> Judged:
    assert found.random is not None
    assert found.ahead is not None
    if found.ahead.high < 0:
        return "supports", "its highest keys alone keep more of the prediction than chance's do"
    if found.ahead.low > 0:
        return "against", "its highest keys alone keep less of the prediction than chance's do"
    return "unclear", "its highest keys alone keep no more of the prediction than chance's do"


def _lower_curve(found: Found) -> Judged:
    assert found.ahead is not None
    if found.ahead.high < 0:
        return "supports", "the prediction is lost sooner than if keys go at random"
    if found.ahead.low > 0:
        return "against", "the prediction is lost later than if keys go at random"
    return "unclear", "the prediction is lost as if keys went at random"


def _higher_curve(found: Found) -> Judged:
    assert found.ahead is not None
    if found.ahead.low > 0:
        return "supports", "the prediction comes back sooner than if keys come at random"
    if found.ahead.high < 0:
        return "against", "the prediction comes back later than if keys come at random"
    return "unclear", "the prediction comes back as if keys came at random"


def _swapped(found: Found) -> Judged:
    moved = f"exchanging the weights moves {found.value.mean:.2f} of the prediction"
    if found.value.high < SAME_OUTPUT:
        return "against", f"{moved}: it is the same whatever the map says"
    if found.value.low > SAME_OUTPUT:
        return "supports", moved
    return "unclear", moved


def _adversarial(found: Found) -> Judged:
    bits = f"a map {found.value.mean:.2f} of 1 bit away gives the same prediction"
    if found.value.low > DIFFERENT_MAP:
        return "against", f"{bits}: this one is not the only story"
    if found.value.high < DIFFERENT_MAP:
        return "supports", f"no map further than {found.value.mean:.2f} of 1 bit away was found"
    return "unclear", bits


def _agrees(found: Found) -> Judged:
    if found.value.low > AGREES:
        return "supports", "ranks the keys much as it does"
    if found.value.high < AGREES:
        return "against", "ranks the keys otherwise"
    return "unclear", "agrees somewhat"


def _on_object(found: Found) -> Judged:
    assert found.ahead is not None
    if found.ahead.low > 0:
        return "supports", "lies on the object more than chance"
    if found.ahead.high < 0:
        return "against", "lies on the object less than chance"
    return "unclear", "lies on the object as chance does"


LINES = {
    "comprehensiveness": ("Comprehensiveness, higher is better", _removal),
    "sufficiency": ("Sufficiency, lower is better", _enough),
    "deletion": ("Deletion curve, lower is better", _lower_curve),
    "insertion": ("Insertion curve, higher is better", _higher_curve),
    "permuted": ("Permuted weights", _swapped),
    "adversarial": ("Adversarial weights, lower is better", _adversarial),
    "gradient": ("Gradient × weight, agreement (τ)", _agrees),
    "integrated_gradients": ("Integrated gradients, agreement (τ)", _agrees),
    "leave_one_out": ("Leaving one out, agreement (τ)", _agrees),
    "pointing_game": ("Pointing game", _on_object),
    "mass_on_object": ("Mass on the object", _on_object),
}


def line(name: str, found: Found) -> CardLine:
    """Makes the line of a measure.

    Args:
        name: The measure.
        found: Its numbers.

    Returns:
        The line.
    """
    title, judge = LINES[name]
    reads, verdict = judge(found)
    beside = [None if b is None else float(b.mean) for b in (found.random, found.uniform)]
    mean, low, high = map(float, found.value)
    random, uniform = beside
    return CardLine(name, title, mean, low, high, random, uniform, reads, verdict)


def overall(lines: Mapping[str, CardLine]) -> Judged:
    """Judges the map by all lines.

    What decides is whether the prediction depends on the weights at all and whether it depends
    most on the keys that they rank highest; the other lines can only make that less sure.

    Args:
        lines: By name.

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
            "Do not read this map as an explanation: what it ranks highest matters no more than "
            "chance."
        )
    if reads["comprehensiveness"] == "supports" and reads["permuted"] == "supports":
        doubts = [lines[name].title for name, each in reads.items() if each == "against"]
        if not doubts:
            return "supports", "This map can be read: the prediction depends on what it shows."
        listed = "; ".join(title.partition(",")[0].lower() for title in doubts)
        return "supports", (
            f"This map shows what the prediction depends on, with reservations ({listed})."
        )
    return "unclear", "Read this map with care: how far the prediction depends on it is not clear."


def _times(ratio: float) -> str:
    return f"{ratio:.1f} times" if ratio >= 1.05 else f"{ratio:.1f} of"
