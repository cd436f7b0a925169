"""The compiled kernels for CPUs beside PyTorch and the form that XLA compiles."""

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.benchmarks.attention_cases import Case, heads, inputs
from experiments.benchmarks.attention_measure import prepared
from experiments.benchmarks.attention_targets import NONE, quotients
from experiments.benchmarks.kernel_sides import TORCH, WIDEST, Turn, sides, turns
from experiments.benchmarks.peers import Peer
from experiments.benchmarks.record import (
    DOCS,
    Result,
    limit_cores,
    machine,
    markdown_table,
    spread,
    spread_text,
    write,
)

PART = "kernel"
THREADS = 2
# Rounds at each length; a call at four times the length takes sixteen times as long.
ROUNDS = {512: 21, 2048: 11, 8192: 5}
Found = dict[Turn, dict[str, Any]]


def measure(tokens: int, peers: Mapping[str, Peer], rounds: int) -> Found:
    """Check all cases against float64, and time them in turn.

    Args:
        tokens: The length.
        peers: The sides.
        rounds: How often each is timed.

    Returns:
        For each turn `seconds` and `cpu` of each round, the processor seconds; or `left_out`.
    """
    for peer in peers.values():
        peer.ask(["load", tokens, heads(tokens)])
    arrays = inputs(tokens, heads(tokens))
    chosen = [turn for turn in turns() if turn.side in peers]
    found = {turn: prepared(turn.case, peers[turn.side], arrays) for turn in chosen}
    measured = [turn for turn, about in found.items() if "left_out" not in about]
    for number in range(rounds):
        for turn in measured[:: (-1) ** number]:
            answer = peers[turn.side].ask(["run", *turn.case])
            for name in ("seconds", "cpu"):
                found[turn].setdefault(name, []).append(answer[name])
    return found


def rows(found: Mapping[int, Found], clock: str) -> list[list[str]]:
    """Return the ratios and their targets, round by round.

    Args:
        found: What was measured at each length.
        clock: `"cpu"` for processor time, `"seconds"` for time on the wall.
    """
    table = []
    for mask in ("full", "causal"):
        for name, (above, below, targets) in _ratios(mask).items():
            bounds = dict(zip(ROUNDS, targets, strict=True)) if targets else {}
            cells = [_cell(f, clock, above, below, bounds.get(t)) for t, f in found.items()]
            table.append([f"{mask}: {name}", *cells])
    return table


def _ratios(mask: str) -> dict[str, tuple[Turn, Turn, tuple[float, ...]]]:
    def case(who: str, passes: str = "forward") -> Case:
        return Case(who, mask, passes)

    def of_passes(passes: str, targets: tuple[float, ...]) -> dict[str, Any]:
        ours, what = Turn("jax", case("kernel", passes)), _PASSES[passes]
        torch = case("PyTorch sdpa", passes)
        return {
            f"{what} / PyTorch's, widest": (ours, Turn(WIDEST, torch), targets),
            f"{what} / PyTorch's as it comes": (ours, Turn(TORCH, torch), ()),
            f"{what} / XLA's form": (ours, Turn("jax", case("streaming", passes)), ()),
        }

    forward = Turn("jax", case("kernel"))
    return {
        **of_passes("forward", (1.1, 0.9, 0.9)),
        **of_passes("gradient", (1.0, 0.85, 0.9)),
        "with entropy and max logit / forward": (
            Turn("jax", case("kernel + entropy")), forward, (1.1, 1.05, 1.05),
        ),
        "with all of the summary / forward": (
            Turn("jax", case("kernel + all")), forward, (2.5, 2.0, 1.9),
        ),
    }  # fmt: skip


_PASSES = {"forward": "forward", "gradient": "forward and backward"}


def _cell(found: Found, clock: str, above: Turn, below: Turn, bound: float | None) -> str:
    ratios = quotients(*(found.get(turn, {}).get(clock, []) for turn in (above, below)))
    if not ratios:
        return NONE
    text = spread_text(ratios, ".2f")
    if bound is None:
        return text
    sign = "≤" if spread(ratios)["median"] <= bound else "not ≤"
    return f"{text} {sign} {bound:g}"


def report(found: Mapping[int, Found], version: str) -> Result:
    """Make the page."""
    header = ["ratio", *(f"{tokens:,}" for tokens in found)]
    left_out = [
        f"Left out at {tokens:,}: {turn.case}, {about['left_out']}."
        for tokens, results in found.items()
        for turn, about in results.items()
        if "left_out" in about
    ]
    times = [
        f"The kernels' forward pass at {tokens:,}, without a mask: "
        f"{1e3 * spread(ours)['median']:,.1f} ms on the wall."
        for tokens, results in found.items()
        if (ours := results[Turn("jax", Case("kernel"))].get("seconds"))
    ]
    return Result(
        part=PART,
        title="Compiled kernels for CPUs",
        what=_WHAT,
        header=header,
        rows=rows(found, "cpu"),
        notes=[*_NOTES, *times, *left_out],
        more=["## Time on the wall", markdown_table(header, rows(found, "seconds"))],
        data={"times": {tokens: _named(results) for tokens, results in found.items()}},
        versions={"torch": version},
    )


def _named(found: Found) -> dict[str, Any]:
    return {f"{turn.side}: {turn.case}": about for turn, about in found.items()}


_WHAT = (
    'The kernels (`implementation="kernel"`) beside PyTorch\'s `scaled_dot_product_attention` and '
    'the form that XLA compiles (`implementation="streaming"`): 8 heads of 64 features, float32, '
    "two cores. All take turns in one run; each cell is the median of the rounds' ratios of "
    "processor time, with quartiles, and its target where there is one. Less is better. All "
    "results are checked against float64 in some rows."
)
_NOTES = (
    "Processor time is counted because other work on the machine does not add to it, though it "
    "still slows caches and memory.",
    "`widest` is PyTorch whose matrix library (MKL) is made to use AVX-512; by itself it does so "
    "on Intel's processors only. `as it comes` is PyTorch as installed.",
)


def main(arguments: Sequence[str]) -> None:
    """Measure all lengths, or only those given, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lengths", nargs="*", type=int, default=[*ROUNDS], help="Tokens.")
    parser.add_argument("--rounds", type=int, help="Rounds at every length.")
    parser.add_argument("--folder", type=Path, default=DOCS, help="Folder of the page.")
    options = parser.parse_args(arguments)
    limit_cores(THREADS)
    where, found = machine(), {}
    with sides() as peers:
        version = peers[TORCH].ask(["about"])["version"]
        for tokens in options.lengths:
            found[tokens] = measure(tokens, peers, options.rounds or ROUNDS.get(tokens, 3))
            # A page as soon as there is something for it; the next length replaces it.
            write(dataclasses.replace(report(found, version), where=where), options.folder)


if __name__ == "__main__":
    main(sys.argv[1:])
