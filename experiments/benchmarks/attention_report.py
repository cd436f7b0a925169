"""The page of the benchmark `attention`: targets beside measurements, and all tables."""

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
    """Tabulate our times in milliseconds, the others as multiples of ours with the same mask."""

    def cell(found: Found, case: Case) -> str:
        ours = seconds(found, case._replace(contender="streaming"))
        if case.contender == "streaming":
            form = ",.2f" if min(ours, default=0) < 0.01 else ",.0f"
            return spread_text([1e3 * second for second in ours], form) + " ms" if ours else NONE
        times = quotients(seconds(found, case), ours)
        return spread_text(times, ".2f") if times else NONE

    chosen = {
        tokens: {case: about for case, about in found.items() if case.passes == passes}
        for tokens, found in timed.items()
    }
    return _table(chosen, cell, operator.attrgetter("name"))


def size_table(measured: Mapping[int, Found], key: str) -> str:
    """Tabulate the memory of each case, in MiB."""

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
    """Say what was not measured and why, a sentence for each case and reason."""
    where: dict[tuple[Case, str], list[str]] = defaultdict(list)
    for results in measured:
        for tokens, found in results.items():
            for case, about in found.items():
                if "left_out" in about:
                    where[case, about["left_out"]].append(f"{tokens:,}")
    return [
        f"Left out: {case}, at {', '.join(dict.fromkeys(lengths))}: {reason}."
        for (case, reason), lengths in where.items()
    ]


def report(timed: Mapping[int, Found], held: Mapping[int, Found], version: str) -> Result:
    """Make the page from the times, the memory of processes, and PyTorch's version."""
    image = (
        "```{image} attention.png\n:alt: Time and temporaries against length.\n:class: figure\n```"
    )
    fresh = {tokens: found for tokens, found in held.items() if tokens != FAR_TOKENS}
    return Result(
        part="attention",
        title="Attention at length",
        what=_WHAT,
        header=("tokens: quantity", "measured", "target", "met"),
        rows=targets(timed, held),
        notes=[*_NOTES, *left_out([timed, held])],
        more=[
            image,
            f"## Forward\n\n{_RATIOS}",
            ratio_table(timed, "forward"),
            f"## Forward and backward together\n\n{_RATIOS}",
            ratio_table(timed, "gradient"),
            "## Memory\n\nTemporaries that XLA plans, MiB:",
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
    f"`flex_attention`, on the CPU, in float32, {FEATURES} features per head, {HEADS} heads up to "
    "8,192 tokens, and beyond that as many as keep the work constant, at least one. `entropy` is "
    "the summary of entropy and max logit; `sums` adds received mass, distance and a map of "
    f"128 × 128 tiles; `all` adds the top 8. Under `window {WINDOW:,}` a query sees that many "
    "keys: itself and those just before it. All results are checked against float64 in some rows. "
    "All cases take turns in one run; the tables show medians and quartiles of the rounds' ratios."
)
_RATIOS = "Ours in milliseconds; all others as multiples of ours with the same mask."
_NOTES = (
    "`streaming` is the form that XLA compiles, for any device and for what the compiled kernels "
    "do not do; `auto` takes those kernels here, and they have [a page of their own](kernel.md).",
    "Backward is the gradient call minus the forward call of the same round.",
    "Masks and block masks of PyTorch are made beforehand and not timed; `flex_attention` gets "
    "blocks even without a mask, since it is slower and needs more memory without them.",
    f"A case may have {MOST_BYTES // MIB:,} MiB: of temporaries in JAX, of all data in PyTorch.",
    "jax.nn and Flax compute every score even under a mask, and are measured with one only where "
    "that is quick.",
)
