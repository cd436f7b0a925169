"""The speed of pretrained models beside PyTorch's, and what loading and summaries take."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attn_jax import pretrained
from attn_jax.pretrained.sources import fetched
from experiments.benchmarks.pretrained_loading import loading
from experiments.benchmarks.pretrained_memory import TOKENS, temporaries
from experiments.benchmarks.pretrained_models import (
    GPT2_RUNS,
    LENS_NAMES,
    MINILM_RUNS,
    SMOLLM2,
    SMOLLM2_RUNS,
    Timed,
)
from experiments.benchmarks.pretrained_timing import ROUNDS, compare
from experiments.benchmarks.record import Result, machine, write

PART = "pretrained"
_PEERS = {"lens": "TransformerLens, `run_with_cache`"}
_WHAT = f"""\
Models, jitted, in turn with the same weights in PyTorch, both on the same cores, the fastest of
{ROUNDS} rounds each: transformers in eager mode without and with `output_attentions=True`, beside
the plain forward pass and `capture(model, '*.weights')`; and TransformerLens' cache of GPT-2 small,
beside a capture of the {len(LENS_NAMES)} values in it. MiniLM has its own weights; those of
SmolLM2's and GPT-2 small's configurations are random. Outputs were compared first, and all that
TransformerLens keeps. Loading is measured in a process of its own, from files that the system has
in memory; its memory is what is not mapped from them. Temporary memory is what the compiler
reports."""


def rows(timed: Timed, times: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Make the rows of a model that was timed."""
    size = " × ".join(str(n) for n in timed.shape)
    made = []
    for name, cost in times.items():
        title = f"{timed.title} {name}, {size} tokens"
        peer = _PEERS.get(timed.peer, "transformers, eager")
        made.append((title, f"{cost['ratio']:.2f}", peer, f"{timed.limits[name]:.2f}"))
        if timed.peer == "lens":
            made.append((title, f"{cost['to forward']:.2f}", "our plain forward", "1.1"))
    return made


def load_rows(load: Mapping[str, float]) -> list[tuple[str, str, str, str]]:
    """Make the rows of loading."""
    ratio = load["memory"] / load["weights"]
    return [
        ("loading MiniLM", f"{load['seconds']:.2f} s", "", "2 s"),
        ("memory of loading", f"{ratio:.2f}", "the weights", "1.3"),
    ]


def memory_rows(memory: Mapping[str, int]) -> list[tuple[str, str, str, str]]:
    """Make the rows of temporary memory."""
    title = f"SmolLM2 {{}}, summaries of {TOKENS} tokens, the last logits"
    return [
        (title.format(form), f"{size / 2**20:.0f} MiB", "", "200 MiB" if form == "scanned" else "")
        for form, size in memory.items()
    ]


def main() -> None:
    """Measure everything and write the page."""
    where = machine()
    minilm = fetched(pretrained.available()["minilm"])
    load = loading(minilm)
    memory = {
        form: temporaries(SMOLLM2, scan=form == "scanned") for form in ("scanned", "unrolled")
    }
    table, times = [], {}
    for timed in (MINILM_RUNS, SMOLLM2_RUNS, GPT2_RUNS):
        with tempfile.TemporaryDirectory() as temporary:
            folder = minilm if timed.config is None else Path(temporary)
            times[timed.title] = compare(timed, folder)
        table += rows(timed, times[timed.title])
    write(
        Result(
            part=PART,
            title="Pretrained models",
            what=" ".join(_WHAT.splitlines()),
            header=("quantity", "ratio or size", "compared with", "limit"),
            rows=[*table, *load_rows(load), *memory_rows(memory)],
            data={"time": times, "load": load, "memory": memory},
            where=where,
        )
    )


if __name__ == "__main__":
    main()
