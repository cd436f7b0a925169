"""Attention at length: time and memory of the streaming form, beside jax.nn, Flax and PyTorch."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.benchmarks.attention_cases import DRAWN, FAR, FAR_TOKENS, LENGTHS, Case, heads
from experiments.benchmarks.attention_figure import draw
from experiments.benchmarks.attention_measure import Found, measure, peak_memory, progress, sides
from experiments.benchmarks.attention_report import report
from experiments.benchmarks.record import DOCS, limit_cores, machine, write

PART = "attention"
THREADS = 2
MEMORY_LENGTHS = (8192, 32768)
MEMORY_CASES = (
    *(Case(who) for who in DRAWN),
    *(Case(who, passes="gradient") for who in ("streaming", "jax.nn", "PyTorch sdpa")),
)


def times(lengths: Sequence[int]) -> tuple[dict[int, Found], str]:
    """Measure the times at each length; return them with PyTorch's version."""
    results: dict[int, Found] = {}
    with sides("jax", "torch") as peers:
        version = peers["torch"].ask(["about"])["version"]
        for tokens in lengths:
            shorter = max(results, default=tokens)
            results[tokens] = measure(tokens, peers, results.get(shorter, {}), shorter)
            progress(tokens, results[tokens])
    return results, version


def memory(lengths: Sequence[int]) -> dict[int, Found]:
    """Measure the memory of fresh processes at some lengths, and at a far greater one."""
    results = {}
    for tokens in lengths:
        results[tokens] = peak_memory(tokens, heads(tokens), MEMORY_CASES)
        progress(tokens, results[tokens])
    results[FAR_TOKENS] = peak_memory(FAR_TOKENS, 1, [FAR])
    progress(FAR_TOKENS, results[FAR_TOKENS])
    return results


def main(arguments: Sequence[str]) -> None:
    """Measure everything, or only the lengths given, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lengths", nargs="*", type=int, default=LENGTHS, help="Numbers of tokens.")
    parser.add_argument("--folder", type=Path, default=DOCS, help="Folder of the page.")
    options = parser.parse_args(arguments)
    limit_cores(THREADS)
    where = machine()
    lengths = sorted(options.lengths)
    timed, version = times(lengths)
    held = memory(sorted({*MEMORY_LENGTHS} & {*lengths}) or lengths[-1:])
    result = report(timed, held, version)
    write(dataclasses.replace(result, where=where), options.folder)
    draw(timed).savefig(options.folder / f"{PART}.png", dpi=150)


if __name__ == "__main__":
    main(sys.argv[1:])
