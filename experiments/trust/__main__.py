"""The command line of the rates: `python -m experiments.trust --seeds 0:300`."""

import argparse
import datetime
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from experiments.trust import trained
from experiments.trust.judging import SIZES, Judged, judge_all
from experiments.trust.rates import (
    descriptions,
    kinds_table,
    masks_table,
    rates,
    rates_table,
    wrong,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "trust_rates.md"
DESIGN = "0:300"
"""The seeds on which thresholds may be chosen; report on others."""

HONEST = trained.RECIPES[0].seeds


def main(arguments: Sequence[str]) -> int:
    """Judge models, and print the rates; 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="make trust ARGS=", description=__doc__)
    parser.add_argument("--seeds", default=DESIGN, help="the seeds of the models to draw, from:to")
    parser.add_argument("--drawn-only", action="store_true", help="leave out the trained models")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name} and its data")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    seeds = range(*map(int, options.seeds.split(":")))
    judged = judge_all(seeds, trains=not options.drawn_only)
    results = rates(judged)
    for each in wrong(judged):
        print(f"{each.label}, but {each.reads}: {each.kind}, seed {each.seed}, n = {each.examples}")
        for question, words in each.words.items():
            print(f"    {question} ({each.answers[question]}): {words}")
    drawn = [each for each in judged if each.group == "drawn"]
    print(kinds_table(judged), masks_table(drawn), rates_table(results), sep="\n\n")
    print(f"{len(judged)} cards in {(time.perf_counter() - start) / 60:.1f} minutes")
    if options.write:
        _write(judged, options.seeds, PAGE)
    return int(not all(each.met for each in results))


def _write(judged: Sequence[Judged], seeds: str, page: Path) -> None:
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    drawn = [x for x in judged if x.group == "drawn"]
    own = [x for x in judged if x.group == "trained"]
    text = f"""\
---
orphan: true
---

# How often the report card errs

Measured on {date} by `make trust ARGS='--seeds {seeds} --write'`, on
{len({x.seed for x in drawn})} models drawn by seed and {len({(x.kind, x.seed) for x in own})}
readers trained on the first of the same seeds, the honest ones on {HONEST} each and those
that deceive on three. Thresholds were chosen on the seeds {DESIGN}. What is true of a
model follows from its own numbers (`experiments/trust/truth.py`); *graded* models lie between
the others and count as neither right nor wrong. Intervals are Wilson's.

## Drawn models

{rates_table(rates(drawn))}

## Trained models

{rates_table([each for each in rates(own) if each.total])}

## By mask

The masks of drawn models, with {SIZES[0]} examples. Some models do not give their mask to the tap,
as attention in code that was not written for this library; there a weight of exactly zero counts as
hidden.

{masks_table(drawn)}

## By kind

Verdicts as supports / unclear / against, with {SIZES[0]} and {SIZES[1]} examples; then the three
answers with {SIZES[0]}.

{kinds_table(judged)}

{descriptions()}
"""
    page.write_text(text, encoding="utf-8")
    # A model a line, so that two reports can be compared.
    models = ",\n".join(json.dumps(_plain(each)) for each in judged)
    text = f'{{"date": "{date}", "seeds": "{seeds}", "models": [\n{models}\n]}}\n'
    page.with_suffix(".json").write_text(text, encoding="utf-8")
    print(f"Written to {page}")


def _plain(judged: Judged) -> dict[str, Any]:
    """Return a model and its verdicts as values that JSON can hold."""
    fields = judged._asdict() | {
        "numbers": {name: float(f"{value:.3g}") for name, value in judged.numbers.items()}
    }
    return {name: fields[name] for name in fields if name not in ("words", "lines", "seconds")}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
