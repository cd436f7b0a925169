"""Cards of SmolLM2's heads: how long they take, and how much memory."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from experiments.benchmarks.cards_worker import HEAD, LAYER
from experiments.benchmarks.record import DOCS, Result, machine, write

PART = "cards"
PROMPTS, TOKENS = 16, 64
_TITLES = {
    "table": "`report_cards`: all 270 heads by ablation, share and overlap",
    "card": f"`report_card`: head {HEAD} of layer {LAYER}, without the adversarial search",
}
_WHAT = f"""\
SmolLM2-135M with its own weights, prompts of {TOKENS} tokens, judged by the logits after the
last one: the table of all heads, and the card of one head in the middle of 30 layers. Each has a
process of its own. CPU time is that of all cores together, so that on a machine with nothing
else to do less time passes; loading, tracing and compiling do not depend on the number of prompts.
Memory is the most that the process held, and load the number of processes that wanted one of the
cores on average before it began."""


def took(what: str, prompts: int) -> dict[str, float]:
    """Run the worker; return the seconds and bytes that it took, and the load before."""
    load = os.getloadavg()[0]
    command = [sys.executable, "-m", "experiments.benchmarks.cards_worker", what]
    command += [str(prompts), str(TOKENS)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return {"prompts": prompts, "load before": load} | json.loads(done.stdout.splitlines()[-1])


def write_page(results: Mapping[str, Mapping[str, float]], where: Any) -> None:
    """Write the page of what both took."""
    rows = [
        (
            _TITLES[what],
            f"{result['prompts']:.0f}",
            f"{result['cpu seconds']:.0f} s",
            f"{result['of them before the run']:.0f} s",
            f"{result['seconds']:.0f} s",
            f"{result['bytes'] / 2**30:.1f} GiB",
            f"{result['load before']:.0f}",
        )
        for what, result in results.items()
    ]
    write(
        Result(
            part=PART,
            title="Cards of a language model",
            what=" ".join(_WHAT.splitlines()),
            header=(
                "quantity",
                "prompts",
                "CPU time",
                "of it loading and compiling",
                "time",
                "memory",
                "load before",
            ),
            rows=rows,
            notes=[f"The limits, for {PROMPTS} prompts: 600 s each, and 6 GiB."],
            data={"took": results},
            where=where,
        )
    )


def main(prompts: int = PROMPTS, *whats: str) -> None:
    """Measure the table and the card, or one of them and keep the other; write the page."""
    where, page = machine(), DOCS / f"{PART}.json"
    results = json.loads(page.read_text(encoding="utf-8"))["took"] if whats else {}
    results |= {what: took(what, prompts) for what in whats or _TITLES}
    write_page({what: results[what] for what in _TITLES}, where)


if __name__ == "__main__":
    count, *parts = sys.argv[1:] or [str(PROMPTS)]
    main(int(count), *parts)
