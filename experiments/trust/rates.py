"""Rates of false verdicts, with intervals, and their tables."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from experiments.benchmarks.record import markdown_table
from experiments.trust.grammar import KINDS
from experiments.trust.judging import Judged
from experiments.trust.masks import MASKS

READS = ("supports", "unclear", "against")
LARGE, SMALL = 256, 32


class Rate(NamedTuple):
    """How often something happened: the times, of how many, and the target in percent."""

    name: str
    times: int
    total: int
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool:
        """Whether the rate itself, not its interval, reaches the target."""
        share = 100 * self.times / max(self.total, 1)
        return (self.least is None or share >= self.least) and (
            self.most is None or share <= self.most
        )


def wilson(count: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate by Wilson's score.

    Example:
        >>> from experiments.trust.rates import wilson
        >>> [round(end, 3) for end in wilson(5, 10)]
        [0.237, 0.763]

    References:
        Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.
    """
    if total == 0:
        return 0.0, 1.0
    z, share = 1.959964, count / total
    middle = share + z**2 / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    scale = 1 + z**2 / total
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def rates(judged: Iterable[Judged]) -> list[Rate]:
    """Return the rates that have targets.

    Args:
        judged: Models that were judged with `LARGE` or `SMALL` examples.
    """
    judged = list(judged)

    def rate(
        name: str, examples: int, label: str, is_so: Callable[[str], bool], **target: float
    ) -> Rate:
        reads = [x.reads for x in judged if x.examples == examples and x.label == label]
        return Rate(f"{name}, n = {examples}", sum(map(is_so, reads)), len(reads), **target)

    def supported(reads: str) -> bool:
        return reads == "supports"

    return [
        rate("faithful, supported", LARGE, "faithful", supported, least=95),
        rate("faithful, unclear", LARGE, "faithful", lambda reads: reads == "unclear", most=10),
        rate("misleading, supported", LARGE, "misleading", supported, most=5),
        rate("ignored, supported", LARGE, "ignored", supported, most=0),
        rate("faithful, against", SMALL, "faithful", lambda reads: reads == "against", most=10),
        rate("misleading, supported", SMALL, "misleading", supported, most=10),
        rate("ignored, supported", SMALL, "ignored", supported, most=10),
    ]


def rates_table(results: Sequence[Rate]) -> str:
    """Return the rates as a table."""
    rows = []
    for each in results:
        low, high = wilson(each.times, each.total)
        target = "" if each.least is None else f"≥ {each.least:g} %"
        target = target if each.most is None else f"≤ {each.most:g} %"
        share = f"{100 * each.times / max(each.total, 1):.1f} %"
        interval = f"{100 * low:.1f} to {100 * high:.1f} %"
        count = f"{each.times} of {each.total}"
        rows.append((each.name, count, share, interval, target, "yes" if each.met else "no"))
    return markdown_table(("models, verdict", "count", "rate", "95 %", "target", "met"), rows)


def kinds_table(judged: Sequence[Judged], sizes: Sequence[int] = (LARGE, SMALL)) -> str:
    """Return how often each kind got each verdict, as supports / unclear / against."""
    names = dict.fromkeys((x.group, x.kind) for x in judged)
    rows = []
    for group, kind in names:
        own = [x for x in judged if (x.group, x.kind) == (group, kind)]
        label = Counter(x.label for x in own).most_common(1)[0][0]
        cells = [_counts(x.reads for x in own if x.examples == size) for size in sizes]
        questions = [
            _counts(x.answers[question] for x in own if x.examples == sizes[0])
            for question in own[0].answers
        ]
        rows.append((label, kind.replace("_", " "), *cells, *questions))
    order = ("faithful", "misleading", "ignored", "graded")
    rows.sort(key=lambda row: order.index(row[0]))
    header = ("truth", "kind", *(f"n = {size}" for size in sizes), *judged[0].answers)
    return markdown_table(header, rows)


def masks_table(judged: Sequence[Judged]) -> str:
    """Return how often maps were supported under each mask, by what is true of them."""
    labels = ("faithful", "misleading", "ignored")
    cases = [(mask, is_given) for mask in MASKS for is_given in (True, False)]
    rows = []
    for mask, is_given in cases:
        case = (mask, is_given, LARGE)
        own = [x for x in judged if (x.mask, x.tells_masks, x.examples) == case]
        reads = [[x.reads for x in own if x.label == label] for label in labels]
        cells = [f"{each.count('supports')} of {len(each)}" for each in reads]
        rows.append((mask, "yes" if is_given else "no", *cells))
    header = ("mask", "given to the tap", *(f"{label}, supported" for label in labels))
    return markdown_table(header, rows)


def descriptions() -> str:
    """Return what each kind of drawn model is, as a table."""
    rows = [(kind.name.replace("_", " "), kind.description) for kind in KINDS]
    return markdown_table(("kind", "what it is"), rows)


def wrong(judged: Iterable[Judged]) -> list[Judged]:
    """Return the models whose verdict is false, or unclear although the map is faithful."""
    return [
        each
        for each in judged
        if (each.label == "faithful" and each.reads != "supports")
        or (each.label in ("misleading", "ignored") and each.reads == "supports")
    ]


def _counts(reads: Iterable[str]) -> str:
    counts = Counter(reads)
    return " / ".join(str(counts[read]) for read in READS) if counts else "–"
