"""The command line: `python -m experiments.tables [--rows A,B] [--seeds 0,1,2] | draw`."""

import argparse
import os
import sys
from collections.abc import Sequence

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from experiments.options import RUNS
from experiments.seeds import jobs, results, runs
from experiments.tables import table
from experiments.tables.rows import Row, all_rows

SEEDS = "0,1,2"
RESULTS = results.ROOT / "docs" / "tables"
_METRICS = ("test/accuracy", "greedy/exact", "test/aer_linked_words", "test/aer_all_words")


def main(arguments: Sequence[str]) -> int:
    """Train what has no result, or draw the tables; 1 if a training failed."""
    options = _parser().parse_args(arguments)
    if options.command == "draw":
        table.write_tables(results.read(RESULTS))
        print(f"Written to {table.PAGE}")
        return 0
    rows = _rows(options.rows)
    seeds = [int(seed) for seed in options.seeds.replace(",", " ").split()]
    if options.command == "one":
        _train(rows[0], seeds[0])
        return 0
    # All rows with one seed before any with another, so that a stop leaves whole tables.
    each = [(row.name, seed) for seed in seeds for row in rows]
    reason = (lambda name, seed: "") if options.again else _reason
    return jobs.run_all("experiments.tables", "--rows", each, reason)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make tables", description=__doc__)
    parser.add_argument("command", nargs="?", default="train", choices=["train", "one", "draw"])
    parser.add_argument("--rows", default="", help="the rows or tables, by commas; all by default")
    parser.add_argument("--seeds", default=SEEDS, help=f"the seeds of training ({SEEDS})")
    parser.add_argument("--again", action="store_true", help="train what has a result, too")
    return parser


def _rows(given: str) -> list[Row]:
    """Return the rows named, those of the tables named, or all.

    Raises:
        SystemExit: If there is no such row or table.
    """
    tables = all_rows()
    known = {row.name: [row] for rows in tables.values() for row in rows} | tables
    names = given.replace(",", " ").split() or list(tables)
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"there is no row or table {unknown[0]!r}; there are {', '.join(known)}.")
    return [row for name in names for row in known[name]]


def _reason(name: str, seed: int) -> str:
    """Return why a row and seed need no training, or nothing."""
    path = results.result_path(name, seed, RESULTS)
    return "has a result; --again trains it anew" if path.exists() else ""


def _train(row: Row, seed: int) -> None:
    from attn_jax.train import read_metrics

    folder = RUNS / "tables" / row.name
    last = read_metrics(runs.finished_run(row.experiment, seed, folder, row.arguments))[-1]
    metrics = {name: last[name] for name in _METRICS if last.get(name) is not None}
    result = {"metrics": metrics, "training_seconds": last["time/elapsed"]}
    print(f"Written to {results.write(row.name, seed, result, RESULTS)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
