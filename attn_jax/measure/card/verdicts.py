"""Verdicts in words on the numbers of a card. Every threshold is here, with its reason."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from attn_jax.measure.card.measured import Measure, Measures
from attn_jax.measure.card.result import Answer, Question, Reads
from attn_jax.measure.card.statistics import Ratio, holm, ratio_of

ENOUGH_EXAMPLES = 20
"""The examples below which no verdict is firm: with fewer, one example in twenty is not seen."""

SIGNIFICANT = 0.05
"""The share of wrong verdicts that chance may cause, over all lines together (Holm)."""

ENOUGH_DEFINED = 0.5
"""The share of examples that must have a number before their mean says anything of the rest."""

ALIKE = 0.05
"""The distance from equal weights below which exchanging weights is no test: there is nothing to
exchange."""

DIFFERENT_MAP = 0.5
"""The divergence, of at most 1 bit, from which two maps count as different explanations: two
distributions that share less than about half of their mass."""

AGREES = 0.1
"""How far a rank correlation must be above that of shuffled maps."""

SAME_MAP = 0.5
"""Kendall's tau above which a map counts as unchanged: three of four pairs in the same order."""

MATTERS = 0.01
"""The smallest difference of two probabilities, or shares, that counts."""


class Bounds(NamedTuple):
    """The values of a line from which it says yes, and up to which it says no.

    Attributes:
        yes: The least value for a yes.
        no: The greatest value for a no.
    """

    yes: float
    no: float


DECISIVE = {
    # The part of the score that passes through the attention. A third of it is a matter of
    # degree, which the card states; a twentieth is what the rest of a model decides by itself.
    "through": Bounds(0.25, 0.05),
    # The change of the score when keys exchange weights, for each part of the mass that moves, of
    # what the attention adds to the score. It is one where mass on other keys adds nothing.
    "permuted": Bounds(0.5, 0.25),
    # The place of the map's order between random orders (0) and the best one (1).
    "ranking": Bounds(0.15, 0.05),
    # The share of the score that hangs on the input of a key beyond what that key contributes,
    # negated so that higher is better. A path around the attention has a share of its own.
    "inputs": Bounds(-0.4, -0.4),
    # The mass of the map that lies where the contributions are.
    "overlap": Bounds(0.5, 0.4),
    # The mass of the top key beyond its contribution, negated so that higher is better.
    "top_key": Bounds(-0.25, -0.25),
}


Judgment = tuple[Reads, str]

Read = Mapping[str, Reads]
"""What each decisive test says, by name."""


def tests(measures: Measures) -> dict[str, Reads]:
    """Say of each decisive measure whether it is surely high enough, surely too low, or neither.

    Each number is compared with its two thresholds by a permutation test, and the p-values are
    corrected for how many there are.

    Args:
        measures: The measures by name, on the host.

    Returns:
        A word for each decisive measure that there is.
    """
    ratios = {name: _ratio(measures[name]) for name in DECISIVE if name in measures}
    for name in ratios.keys() & {"top_key", "inputs"}:
        ratios[name] = ratio_of(-ratios[name].value, ratios[name].whole)
    names = [name for name in ratios if _is_defined(name, measures)]
    chance = measures["overlap"]
    beats = ratio_of(np.asarray(chance.value) - np.asarray(chance.random), chance.whole)
    above = holm([ratios[name].above(DECISIVE[name].yes) for name in names] + [beats.above(0.0)])
    below = holm([ratios[name].below(DECISIVE[name].no) for name in names])
    words: dict[str, Reads] = dict.fromkeys(ratios, "unclear")
    for name, yes, no in zip(names, above, below, strict=False):
        if min(yes, no) < SIGNIFICANT:
            words[name] = "supports" if yes < SIGNIFICANT else "against"
    if words["overlap"] == "supports" and above[-1] >= SIGNIFICANT and not _is_level(measures):
        words["overlap"] = "unclear"
    return words


def answer(measures: Measures, words: Read) -> dict[Question, Answer]:
    """Answer the three questions.

    Args:
        measures: The measures by name.
        words: What the decisive tests say.
    """
    return {
        "depends": _depends(measures, words),
        "ranks": _ranks(measures, words),
        "mass": _mass(measures, words),
    }


def overall(answers: Mapping[Question, Answer], examples: int) -> Judgment:
    """Judge the map by the three answers.

    Args:
        answers: The answers by question.
        examples: The number of examples.

    Returns:
        One of three words, and a sentence.
    """
    if examples < ENOUGH_EXAMPLES:
        return "unclear", (
            f"Too few examples to tell: {examples}, and at least {ENOUGH_EXAMPLES} are needed."
        )
    depends, ranks, mass = (answers[q].reads for q in ("depends", "ranks", "mass"))
    if depends == "against":
        return "against", (
            "Do not read this map as an explanation: the prediction hardly depends on it."
        )
    if ranks == "against":
        return "against", (
            "Do not read this map as an explanation: its top keys are not those that matter."
        )
    if mass == "against":
        return "against", (
            "Do not read this map as an explanation: its mass lies on keys that do not contribute."
        )
    if (depends, ranks, mass) == ("supports", "supports", "supports"):
        return "supports", "This map can be read: it shows what the prediction depends on."
    if (depends, ranks) == ("supports", "supports"):
        return "unclear", (
            "Read the order of this map, not its mass: the top keys matter, but not in proportion."
        )
    return "unclear", (
        "Read this map with care: it is not clear how far the prediction depends on it."
    )


def _depends(measures: Measures, words: Read) -> Answer:
    share = _ratio(measures["through"]).ratio
    if not np.isfinite(share):
        return Answer("unclear", "the model does not prefer what it is said to predict")
    passes = f"{_percent(share)} of the score passes through it"
    if words["through"] == "against":
        return Answer("against", passes)
    if _is_level(measures):
        return Answer(words["through"], f"{passes}; the weights are nearly equal")
    lost = _ratio(measures["permuted"]).ratio
    swap = f"mass that moves to other keys loses {_percent(lost)} of its effect"
    if lost > 1:
        swap = f"mass that moves to other keys loses all of its effect, and more ({_percent(lost)})"
    text = f"{passes}; {swap}"
    return Answer(_all(words["through"], words["permuted"]), text)


def _ranks(measures: Measures, words: Read) -> Answer:
    place = _ratio(measures["ranking"]).ratio
    if not np.isfinite(place):
        return Answer("unclear", "removing keys changes nothing, or there is one key alone")
    text = f"its order is at {_percent(place)} of the way from a random order to the best"
    if "inputs" not in words:
        return Answer(words["ranking"], f"{text}; the inputs at the keys were not tested")
    share = _ratio(measures["inputs"]).ratio
    if not np.isfinite(share):
        return Answer(words["ranking"], f"{text}; replacing inputs at the keys changes nothing")
    inputs = _percent(share)
    text += f"; {inputs} of the score hangs on inputs at keys that do not contribute"
    if words["inputs"] == "against":
        text += ", as if an earlier layer or a path around the attention read them"
    return Answer(_all(words["ranking"], words["inputs"]), text)


def _mass(measures: Measures, words: Read) -> Answer:
    overlap = _ratio(measures["overlap"]).ratio
    if not np.isfinite(overlap):
        return Answer("unclear", "no key contributes anything")
    claim, worth = (
        _percent(_ratio(measures[f"top_key_{name}"]).ratio) for name in ("claim", "contribution")
    )
    text = (
        f"{_percent(overlap)} of its mass lies where the contributions are; "
        f"its top key has {claim} of the mass and {worth} of the contributions"
    )
    if words["top_key"] == "against":
        return Answer("against", text)
    reads = words["overlap"]
    # A map that spreads its mass too widely misleads about no key in particular.
    return Answer("unclear" if reads == "against" else _all(reads, words["top_key"]), text)


def _all(*words: Reads) -> Reads:
    return "against" if "against" in words else ("unclear" if "unclear" in words else "supports")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _ratio(measure: Measure) -> Ratio:
    return ratio_of(measure.value, measure.whole)


def _is_level(measures: Measures) -> bool:
    return bool(np.nanmean(measures["spread"].value) < ALIKE)


def _is_defined(name: str, measures: Measures) -> bool:
    """Whether enough examples have a number."""
    ratio = _ratio(measures[name])
    return len(ratio.value) >= ENOUGH_DEFINED * ratio.examples and bool(np.isfinite(ratio.ratio))
