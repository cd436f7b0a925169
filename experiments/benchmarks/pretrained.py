"""MiniLM's speed beside transformers in eager mode, and what loading it takes."""

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax import pretrained
from attn_jax.hooks import capture
from attn_jax.pretrained.sources import fetched
from experiments.benchmarks.peers import Peer, peers_python
from experiments.benchmarks.record import Result, machine, write

PART = "pretrained"
ROUNDS = 25
BATCH, TOKENS = 8, 128
TOLERANCE = 2e-5
LIMITS = {"forward": 0.6, "with all weights": 0.65}
_LOADING = """
import json, sys, time
import jax
from attn_jax import pretrained
jax.numpy.zeros(1).block_until_ready()
def anonymous():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))
before, start = anonymous(), time.perf_counter()
model = pretrained.load(sys.argv[1])
jax.block_until_ready(model.variables)
seconds = time.perf_counter() - start
size = sum(x.nbytes for x in jax.tree.leaves(model.variables))
print(json.dumps({"seconds": seconds, "memory": anonymous() - before, "weights": size}))
"""


def inputs() -> dict[str, Any]:
    """Return random tokens, the same for both sides."""
    numbers = np.random.default_rng(0).integers(1000, 20000, (BATCH, TOKENS))
    return {"tokens": jnp.asarray(numbers, jnp.int32)}


def programs(model: pretrained.Pretrained) -> dict[str, Callable[[], Any]]:
    """Return the calls that are timed."""
    given = inputs()
    apply: Any = model.model.apply
    plain = jax.jit(lambda variables: apply(variables, **given))
    seen = jax.jit(lambda variables: capture(apply, "*.weights")(variables, **given))
    return {
        "forward": lambda: jax.block_until_ready(plain(model.variables)),
        "with all weights": lambda: jax.block_until_ready(seen(model.variables)),
    }


def compare(folder: Path, model: pretrained.Pretrained) -> dict[str, dict[str, Any]]:
    """Time both sides in turn, after their outputs were found equal."""
    calls = programs(model)
    peer = Peer([peers_python(), Path(__file__).with_name("pretrained_torch.py")])
    peer.ask({"folder": str(folder), "tokens": np.asarray(inputs()["tokens"]).tolist()})
    times: dict[str, list[list[float]]] = {name: [[], []] for name in calls}
    for name, call in calls.items():
        ours = np.asarray(jax.tree.leaves(call())[0])[0]
        theirs = np.asarray(peer.ask({"run": name, "probe": True})["output"])
        difference = float(np.abs(ours - theirs).max())
        if difference > TOLERANCE * max(1, np.abs(theirs).max()):
            raise RuntimeError(f"the outputs differ by {difference:.2g}: no comparison of speed.")
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name][0].append(time.perf_counter() - start)
            times[name][1].append(peer.ask({"run": name})["seconds"])
    peer.close()
    # Other work on the machine only ever adds, so the fastest rounds are compared.
    return {
        name: {"seconds": both, "ratio": min(both[0]) / min(both[1])}
        for name, both in times.items()
    }


def loading(folder: Path) -> dict[str, float]:
    """Load the checkpoint in a fresh process; return the seconds and bytes that it took."""
    command = [sys.executable, "-c", _LOADING, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def report(times: Mapping[str, Any], load: Mapping[str, float]) -> Result:
    """Make the page."""
    rows = [
        (
            f"MiniLM {name}, {BATCH} × {TOKENS} tokens",
            f"{cost['ratio']:.2f}",
            "transformers, eager",
            f"{LIMITS[name]}",
        )
        for name, cost in times.items()
    ]
    rows += [
        ("loading MiniLM", f"{load['seconds']:.2f} s", "", "2 s"),
        (
            "memory of loading",
            f"{load['memory'] / load['weights']:.2f}",
            "the weights",
            "1.3",
        ),
    ]
    return Result(
        part=PART,
        title="Pretrained models",
        what=(
            "MiniLM (six layers of BERT), jitted, in turn with the same checkpoint in "
            "transformers' eager mode, both on the same cores: the forward pass, and with the "
            "weights of all 72 heads (`capture(model, '*.weights')` beside "
            f"`output_attentions=True`). The fastest of {ROUNDS} rounds each. Both outputs were "
            "compared first. Loading is measured in a process of its own, from files that the "
            "system has in memory; its memory is what is not mapped from them."
        ),
        header=("quantity", "ratio or size", "compared with", "limit"),
        rows=rows,
        notes=[],
        data={"time": dict(times), "load": dict(load)},
    )


def main() -> None:
    """Measure everything and write the page."""
    where = machine()
    folder = fetched(pretrained.available()["minilm"])
    model = pretrained.load(folder)
    times, load = compare(folder, model), loading(folder)
    write(dataclasses.replace(report(times, load), where=where))


if __name__ == "__main__":
    main()
