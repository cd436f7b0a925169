"""The page of the benchmark `attention`: what was asked beside what was measured, and the rest."""

import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from experiments.benchmarks.attention_cases import (
    FAR_TOKENS,
    FEATURES,
    HEADS,
    MIB,
    MOST_BYTES,
    WINDOW,
    Case,
)
from experiments.benchmarks.attention_measure import Found
from experiments.benchmarks.attention_targets import NONE, quotients, seconds, targets
from experiments.benchmarks.record import Result, markdown_table, spread_text

Cell = Callable[[Found, Case], str]


def ratio_table(timed: Mapping[int, Found], passes: str) -> str:
    """Each case beside ours of the same mask: ours in milliseconds, the others as multiples."""

    def cell(found: Found, case: Case) -> str:
        ours = seconds(found, case._replace(contender="streaming"))
        if case.contender == "streaming":
            form = ",.2f" if min(ours, default=0) < 0.01 else ",.0f"
            return spread_text([1e3 * one for one in ours], form) + " ms" if ours else NONE
        times = quotients(seconds(found, case), ours)
        return spread_text(times, ".2f") if times else NONE

    chosen = {
        tokens: {case: about for case, about in found.items() if case.passes == passes}
        for tokens, found in timed.items()
    }
    return _table(chosen, cell, operator.attrgetter("name"))


def size_table(measured: Mapping[int, Found], key: str) -> str:
    """Bytes that each case needs, in MiB."""

    def cell(found: Found, case: Case) -> str:
        size = found.get(case, {}).get(key)
        return NONE if size is None else f"{size / MIB:,.1f}"

    return _table(measured, cell, str)


def _table(measured: Mapping[int, Found], cell: Cell, label: Callable[[Case], str]) -> str:
    every = dict.fromkeys(case for found in measured.values() for case in found)
    rows = [[label(case), *(cell(found, case) for found in measured.values())] for case in every]
    kept = [row for row in rows if set(row[1:]) != {NONE}]
    return markdown_table(["", *(f"{tokens:,}" for tokens in measured)], kept)


def left_out(measured: Iterable[Mapping[int, Found]]) -> list[str]:
    """What was not measured and why, a sentence for each case and reason."""
    where: dict[tuple[Case, str], list[str]] = defaultdict(list)
    for one in measured:
        for tokens, found in one.items():
            for case, about in found.items():
                if "left_out" in about:
                    where[case, about["left_out"]].append(f"{tokens:,}")
    return [
        f"Left out: {case}, at {', '.join(dict.fromkeys(lengths))}: {reason}."
        for (case, reason), lengths in where.items()
    ]


def report(timed: Mapping[int, Found], held: Mapping[int, Found], version: str) -> Result:
    """Makes the page of times, of the memory of processes, and of PyTorch's version."""
    image = (
        "```{image} attention.png\n:alt: Time and temporaries against length.\n:class: figure\n```"
    )
    fresh = {tokens: found for tokens, found in held.items() if tokens != FAR_TOKENS}
    return Result(
        part="attention",
        title="Attention at length",
        what=_WHAT,
        header=("tokens: what", "measured", "asked", "met"),
        rows=targets(timed, held),
        notes=[*_NOTES, *left_out([timed, held])],
        more=[
            image,
            f"## Forward\n\n{_RATIOS}",
            ratio_table(timed, "forward"),
            f"## Forward and backward together\n\n{_RATIOS}",
            ratio_table(timed, "gradient"),
            "## Memory\n\nTemporaries as XLA plans them, MiB:",
            size_table(timed, "temporaries"),
            "The most that one call adds to the memory of a fresh process, results included, MiB:",
            size_table(fresh, "call"),
        ],
        data={"times": _named(timed), "memory": _named(held)},
        versions={"torch": version},
    )


def _named(measured: Mapping[int, Found]) -> dict[int, Any]:
    return {
        tokens: {str(case): about for case, about in found.items()}
        for tokens, found in measured.items()
    }


_WHAT = (
    f"`ops.streaming_attention` beside `ops.attention` (`auto`), `jax.nn.dot_product_attention`, "
    "`flax.linen.dot_product_attention`, and PyTorch's `scaled_dot_product_attention` and compiled "
    f"`flex_attention`, on the CPU, in float32, {FEATURES} features a head, {HEADS} heads up to "
    "8,192 tokens and beyond them as many as keep the work the same, at least one. `entropy` is "
    "the summary of entropy and max logit, `sums` adds received mass, distance and a map of "
    f"128 × 128 tiles, `all` adds the top 8. Under `window {WINDOW:,}` a query sees itself and the "
    "keys before it, so many in all. All compute the same, compared with float64 in some rows, and "
    "take turns in one run; shown are medians and quartiles of ratios, each of one round."
)
_RATIOS = "Ours in milliseconds; all others as multiples of ours with the same mask."
_NOTES = (
    "Backward is the gradient call less the forward call of the same round.",
    "Masks and block masks of PyTorch are made beforehand, and are not timed; `flex_attention` has "
    "blocks also where all see all, as it is slower and needs more without.",
    f"A case may have {MOST_BYTES // MIB:,} MiB: of temporaries in JAX, of all data in PyTorch.",
    "jax.nn and Flax compute every score under a mask too, and are measured with one only where "
    "that is quick.",
)
