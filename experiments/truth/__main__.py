"""The command line: `python -m experiments.truth [--tasks A,B] [--seeds 0,1,2] | table`."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from experiments.truth import results, runs, table

SEEDS = "0,1,2"


def main(arguments: Sequence[str]) -> int:
    """Train and measure, or draw the table; 1 if a task failed."""
    options = _parser().parse_args(arguments)
    if options.command == "table":
        known = results.read()
        table.write_table(known)
        table.write_short_tables(known, sorted(table.NOTEBOOKS.glob("*.md")))
        print(f"Written to {table.PAGE}, and to notebooks that show some of these results")
        return 0
    names = _names(options.tasks)
    seeds = [int(seed) for seed in options.seeds.replace(",", " ").split()]
    if options.command == "one":
        _measure(names[0], seeds[0])
        return 0
    return _measure_all([(name, seed) for name in names for seed in seeds])


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
    known = runs.tasks()
    names = given.replace(",", " ").split() or known
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"the truth of {unknown[0]!r} is not known; it is for {', '.join(known)}.")
    return names


def _measure_all(jobs: Sequence[tuple[str, int]]) -> int:
    """Measure each in a process of its own, so that a failure costs no other."""
    failed = []
    for number, (name, seed) in enumerate(jobs, 1):
        label = f"{number}/{len(jobs)}: {name}, seed {seed}"
        if results.is_current(name, seed):
            print(f"[{label}: measured at this commit]", flush=True)
            continue
        print(f"[{label}]", flush=True)
        words = ["one", "--tasks", name, "--seeds", str(seed)]
        code = subprocess.run([sys.executable, "-m", "experiments.truth", *words], check=False)
        if code.returncode:
            failed.append(label)
    for label in failed:
        print(f"[{label}: failed; see above]", file=sys.stderr)
    return int(bool(failed))


def _measure(name: str, seed: int) -> None:
    from attn_jax.train import read_metrics
    from experiments.reopen import reopen_experiment
    from experiments.truth.measuring import measured

    run = runs.finished_run(name, seed)
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
    path = results.write(name, seed, result)
    for way, scores in result.get("ways", {}).items():
        print(f"  {way:<22}" + "  ".join(f"{score} {scores[score]:.3f}" for score in scores))
    print(f"  the card reads {result['card']['reads']}\nWritten to {path}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
