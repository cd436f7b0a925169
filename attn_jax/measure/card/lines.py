"""The lines of a card: each measure beside its baselines, with a verdict in words."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from attn_jax.measure.card import verdicts
from attn_jax.measure.card.kinds import KINDS, Estimates, Kind
from attn_jax.measure.card.measured import Measure, Measures
from attn_jax.measure.card.result import CardLine, Reads
from attn_jax.measure.card.statistics import holm, ratio_of


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
