"""The wait for a first result: imports, first calls, repeated calls, the start of training."""

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.benchmarks.latency_doors import DOORS
from experiments.benchmarks.latency_process import CALLS
from experiments.benchmarks.peers import ROOT
from experiments.benchmarks.record import DOCS, Result, limit_cores, machine, markdown_table, write

PART = "latency"
ROUNDS = 3
THREADS = 2
PACKAGES = (
    "jax", "attn_jax.hooks", "attn_jax.ops", "attn_jax.nn", "attn_jax.models", "attn_jax.measure",
    "attn_jax.circuits", "attn_jax.plot", "attn_jax.tasks", "attn_jax.train", "attn_jax.pretrained",
)  # fmt: skip
EXPERIMENTS = ("mnist_scaled_dot", "translation_additive")


def open_door(name: str) -> dict[str, Any]:
    """Open a door in a process of its own; return what it measured."""
    command = [sys.executable, "-m", "experiments.benchmarks.latency_process", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


def fastest(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the least of each number: other work on the machine only ever adds."""
    return {name: min(one[name] for one in rounds) for name in rounds[0]}


def launch(experiment: str, programs: Path, arguments: Sequence[str] = ()) -> dict[str, float]:
    """Launch training, and end it once it wrote the metrics of its first step.

    Args:
        experiment: The experiment.
        programs: The folder of compiled programs.
        arguments: Further arguments.

    Returns:
        The processor `seconds` from the launch to the first step, and those on the `wall`.

    Raises:
        RuntimeError: If it ends before its first step.
    """
    settings = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(programs)}
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "-m", "experiments", experiment, "--runs", runs]
        command += ["--train.log-every", "1", "--train.steps-per-call", "1", *arguments]
        start = time.time()
        process = subprocess.Popen(command, cwd=ROOT, env=settings, stdout=subprocess.DEVNULL)
        try:
            while not (rows := [*Path(runs).glob("*/*/metrics.jsonl")]) or not rows[0].read_text():
                if process.poll() is not None:
                    raise RuntimeError(f"{' '.join(command)} ended before its first step")
                time.sleep(0.02)
            used = _processor_seconds(process.pid)
            first = json.loads(rows[0].read_text().splitlines()[0])
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()
    return {"seconds": used, "wall": first["time/unix"] - start}


def _processor_seconds(pid: int) -> float:
    """Return the processor seconds of a running process; Linux tells them."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def launches(rounds: int) -> dict[str, dict[str, float]]:
    """Launch each experiment with an empty folder of programs, and then with a full one."""
    found = {}
    for experiment in EXPERIMENTS:
        each: dict[str, list[dict[str, float]]] = {"first time": [], "again": []}
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as programs:
                for times in each.values():
                    times.append(launch(experiment, Path(programs)))
        found |= {f"{experiment}, {when}": fastest(times) for when, times in each.items()}
    return found


def report(
    imports: Mapping[str, Mapping[str, Any]],
    doors: Mapping[str, Mapping[str, Any]],
    starts: Mapping[str, Mapping[str, float]],
    rounds: int,
) -> Result:
    """Make the page of imports, doors and launches, the least of some rounds."""
    calls = [
        [
            f"`{name}`",
            f"{about['start']:.2f}",
            f"{about['first']:.2f} ({about['programs'][0]})",
            f"{1e3 * about['again']:.0f} ({about['programs'][1]})",
            f"{about['growth']:.1f}",
        ]
        for name, about in doors.items()
    ]
    packages = [[f"`{name}`", f"{about['start']:.2f}"] for name, about in imports.items()]
    trained = [
        [name, f"{about['seconds']:.1f}", f"{about['wall']:.1f}"] for name, about in starts.items()
    ]
    return Result(
        part=PART,
        title="The wait for a first result",
        what=f"{_WHAT} Processor seconds, the least of {rounds} rounds.",
        header=("call", "start, s", "first, s (programs)", "again, ms (programs)", "growth, MiB"),
        rows=calls,
        notes=_NOTES,
        more=[
            "## Imports\n\nProcessor seconds of a process that only imports a package:",
            markdown_table(["package", "seconds"], packages),
            f"## From `make train` to the first step\n\n{_TRAINING}",
            markdown_table(["experiment", "processor, s", "wall, s"], trained),
        ],
        data={"imports": imports, "doors": doors, "launches": starts},
    )


_WHAT = (
    "Each call in a process of its own, outside of `jit`, on small arrays. `start` is what Python, "
    "imports and inputs take, `first` and `again` what the first and a later call take, with the "
    "number of programs that each compiled; `growth` is what the process holds more after "
    f"{CALLS} more calls, after as many to warm up."
)
_NOTES = (
    "A call that repeats compiles nothing, even if its function is made anew each time.",
    "All processors are counted together: on an idle machine with several the wait is shorter.",
)
_TRAINING = (
    "With an empty folder of compiled programs (`first time`), and with that of the run before "
    "(`again`), which the command line keeps:"
)


def main(arguments: Sequence[str]) -> None:
    """Measure everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="Rounds of everything.")
    parser.add_argument("--folder", type=Path, default=DOCS, help="Folder of the page.")
    options = parser.parse_args(arguments)
    limit_cores(THREADS)
    where = machine()
    measured = {}
    for name in (*PACKAGES, *DOORS):
        measured[name] = fastest([open_door(name) for _ in range(options.rounds)])
        print(name, measured[name], flush=True)
    imports, doors = ({n: measured[n] for n in names} for names in (PACKAGES, DOORS))
    result = report(imports, doors, launches(options.rounds), options.rounds)
    write(dataclasses.replace(result, where=where), options.folder)


if __name__ == "__main__":
    main(sys.argv[1:])
