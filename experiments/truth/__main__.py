"""The command line: `python -m experiments.truth [--tasks A,B] [--seeds 0,1,2] | table`."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from experiments.options import RUNS
from experiments.seeds import jobs, results, runs
from experiments.truth import table
from experiments.truth.tasks import tasks

SEEDS = "0,1,2"
RESULTS = results.ROOT / "docs" / "truth"


def main(arguments: Sequence[str]) -> int:
    """Train and measure, or draw the table; 1 if a task failed."""
    options = _parser().parse_args(arguments)
    if options.command == "table":
        known = results.read(RESULTS)
        table.write_table(known)
        table.write_short_tables(known, sorted(table.NOTEBOOKS.glob("*.md")))
        print(f"Written to {table.PAGE}, and to notebooks that show some of these results")
        return 0
    names = _names(options.tasks)
    seeds = [int(seed) for seed in options.seeds.replace(",", " ").split()]
    if options.command == "one":
        _measure(names[0], seeds[0])
        return 0
    each = [(name, seed) for name in names for seed in seeds]
    return jobs.run_all("experiments.truth", "--tasks", each, _reason)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make truth", description=__doc__)
    choices = ["measure", "one", "table"]
    parser.add_argument("command", nargs="?", default="measure", choices=choices)
    parser.add_argument("--tasks", default="", help="the tasks, by commas; all by default")
    parser.add_argument("--seeds", default=SEEDS, help=f"the seeds of training ({SEEDS})")
    return parser


def _names(given: str) -> list[str]:
    """Return the tasks named, or all.

    Raises:
        SystemExit: If the truth of a task is not known.
    """
    known = tasks()
    names = given.replace(",", " ").split() or known
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"the truth of {unknown[0]!r} is not known; it is for {', '.join(known)}.")
    return names


def _reason(name: str, seed: int) -> str:
    """Return why a task and seed need no measurement, or nothing."""
    return "measured at this commit" if results.is_current(name, seed, RESULTS) else ""


def _measure(name: str, seed: int) -> None:
    from attn_jax.train import read_metrics
    from experiments.reopen import reopen_experiment
    from experiments.truth.measuring import measured

    run = runs.finished_run(name, seed, RUNS / "truth")
    experiment, params = reopen_experiment(run, "last")
    evidence, last = experiment.evidence(params), read_metrics(run)[-1]
    if evidence is None:
        raise ValueError(f"{name} gave no evidence for the settings of {run}.")
    begun = time.perf_counter()
    result: dict[str, Any] = {
        "metrics": {metric: last[metric] for metric in evidence.metrics},
        "training_seconds": last["time/elapsed"],
        **measured(evidence),
    }
    result["measuring_seconds"] = time.perf_counter() - begun
    path = results.write(name, seed, result, RESULTS)
    for way, scores in result.get("ways", {}).items():
        print(f"  {way:<22}" + "  ".join(f"{score} {scores[score]:.3f}" for score in scores))
    print(f"  the card reads {result['card']['reads']}\nWritten to {path}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
