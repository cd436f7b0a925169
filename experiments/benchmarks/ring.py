"""Attention around a ring of eight host devices beside the best blocking of one."""

import argparse
import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.peers import Peer
from experiments.benchmarks.record import (
    DOCS,
    Result,
    limit_cores,
    machine,
    spread,
    spread_text,
    write,
)

PART = "ring"
DEVICES, CORES, TARGET = 8, 2, 1.3
PASSES = ("forward", "backward", "summary")
# Rounds at each length; a call at four times the length takes sixteen times as long.
ROUNDS = {16384: 5, 65536: 2}
# What one device may use: the kernels, where they are installed, or these blocks of XLA's form.
KERNEL, BLOCKS = "compiled kernels", ((1024, 1024), (512, 2048), (2048, 1024))
# Float32 sums in another order differ by less than this, relative to one or the number itself.
_TOLERANCE = 1e-4
_CHOICE = 8192
Found = dict[str, dict[str, Any]]


@contextlib.contextmanager
def sides() -> Iterator[dict[int, Peer]]:
    """Start a process with one device and one with eight, on the same cores, and end them."""
    with contextlib.ExitStack() as stack:
        peers = {}
        for devices in (1, DEVICES):
            flags = f"--xla_force_host_platform_device_count={devices}"
            flags = f"{os.environ.get('XLA_FLAGS', '')} {flags}"
            command = [sys.executable, "-m", "experiments.benchmarks.ring_worker"]
            peer = Peer(command, JAX_PLATFORMS="cpu", XLA_FLAGS=flags)
            peers[devices] = stack.enter_context(contextlib.closing(peer))
        yield peers


def ways() -> dict[str, tuple[str, Sequence[int] | None]]:
    """Return the ways to compute on one device: implementation and blocks by their names."""
    from attn_jax.ops.streaming.cpu import library

    named: dict[str, tuple[str, Sequence[int] | None]] = {}
    if not library.missing():
        named[KERNEL] = "kernel", None
    return named | {f"blocks of {q} × {k}": ("streaming", (q, k)) for q, k in BLOCKS}


def best_ways(one: Peer, tokens: int = _CHOICE) -> dict[str, tuple[str, float]]:
    """Return the fastest way of one device for each pass, and its processor seconds."""
    best = {}
    for passes in PASSES:
        seconds = {}
        for name, way in ways().items():
            one.ask(["prepare", name, tokens, passes, *way])
            one.ask(["run", name])
            seconds[name] = min(one.ask(["run", name])["cpu"] for _ in range(3))
        best[passes] = min(seconds.items(), key=lambda each: each[1])
    return best


def measure(
    tokens: int, peers: Mapping[int, Peer], best: Mapping[str, tuple[str, float]], rounds: int
) -> Found:
    """Compare the results of both sides, and time them in turn.

    Args:
        tokens: The length.
        peers: The sides.
        best: The way of one device for each pass.
        rounds: How often each is timed.

    Returns:
        For each pass the processor seconds and temporary bytes of both sides.
    """
    found: Found = {}
    for passes in PASSES:
        given = {1: ways()[best[passes][0]], DEVICES: ("auto", None)}
        about = {n: peers[n].ask(["prepare", passes, tokens, passes, *given[n]]) for n in peers}
        _compare(passes, *(peer.ask(["probe", passes])["rows"] for peer in peers.values()))
        seconds: dict[int, list[float]] = {n: [] for n in peers}
        for number in range(rounds):
            for n in list(peers)[:: (-1) ** number]:
                seconds[n].append(peers[n].ask(["run", passes])["cpu"])
        temporaries = {n: each["temporaries"] for n, each in about.items()}
        found[passes] = {"cpu": seconds, "temporaries": temporaries}
        print(tokens, passes, seconds, temporaries, flush=True)
    return found


def _compare(passes: str, one: Sequence[Any], ring: Sequence[Any]) -> None:
    for x, y in zip(one, ring, strict=True):
        expected = np.array(x)
        difference = np.abs(np.array(y) - expected) / np.maximum(1, np.abs(expected))
        if not difference.max() < _TOLERANCE:
            raise RuntimeError(
                f"{passes}: the ring's results differ by {difference.max():.2g} from one "
                f"device's, more than {_TOLERANCE}."
            )


def report(found: Mapping[int, Found], best: Mapping[str, tuple[str, float]]) -> Result:
    """Make the page."""
    rows = []
    for passes in PASSES:
        cells = [_cell(found[tokens][passes]["cpu"]) for tokens in found]
        memory = [_memory(found[tokens][passes]["temporaries"]) for tokens in found]
        rows.append([passes, best[passes][0], *cells, *memory])
    lengths = [f"{tokens:,}" for tokens in found]
    header = ["pass", "one device's way", *(f"{n} tokens" for n in lengths)]
    header += [f"MiB of temporaries, {n}" for n in lengths]
    data = {tokens: _by_side(results) for tokens, results in found.items()}
    return Result(
        PART, "A ring of devices", _WHAT, header, rows, notes=_NOTES, data={"times": data}
    )


def _cell(seconds: Mapping[int, Sequence[float]]) -> str:
    ratios = [ring / one for one, ring in zip(seconds[1], seconds[DEVICES], strict=True)]
    sign = "≤" if spread(ratios)["median"] <= TARGET else "not ≤"
    return f"{spread_text(ratios, '.2f')} {sign} {TARGET}"


def _memory(temporaries: Mapping[int, int]) -> str:
    return " → ".join(f"{temporaries[n] / 2**20:.1f}" for n in (1, DEVICES))


def _by_side(results: Found) -> dict[str, Any]:
    return {
        passes: {
            kind: {f"{n} devices": values for n, values in each.items()}
            for kind, each in about.items()
        }
        for passes, about in results.items()
    }


_WHAT = (
    f"Causal `streaming_attention` around a ring of {DEVICES} host devices beside the fastest way "
    f"of one device, which is chosen for each pass at {_CHOICE:,} tokens: one head of 64 features, "
    f"float32, both sides on the same {CORES} cores and in turn. A cell is the median of the "
    "rounds' ratios of processor time, ring to one device, with quartiles, and the target. "
    "`backward` is the forward pass and the gradients of query, key and value; `summary` has all "
    "fields, the top 8 and 128 × 128 tiles. The last columns have what one device takes beside "
    "its operands and results, alone and in the ring."
)
_NOTES = (
    "Processor time is counted because eight host devices on two cores have no other advantage or "
    "drawback: what a ring gains in time on the wall, it gains on eight machines.",
    "In the ring each device computes its parts as `auto` chooses, which is with the compiled "
    "kernels where they are installed.",
    "Results are compared with one device's in some numbers before anything is timed.",
)


def main(arguments: Sequence[str]) -> None:
    """Measure all lengths, or only those given, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lengths", nargs="*", type=int, default=[*ROUNDS], help="Tokens.")
    parser.add_argument("--rounds", type=int, help="Rounds at every length.")
    parser.add_argument("--folder", type=Path, default=DOCS, help="Folder of the page.")
    options = parser.parse_args(arguments)
    limit_cores(CORES)
    where, found = machine(), {}
    with sides() as peers:
        best = best_ways(peers[1])
        print(best, flush=True)
        for tokens in options.lengths:
            rounds = options.rounds or ROUNDS.get(tokens, 3)
            found[tokens] = measure(tokens, peers, best, rounds)
            # A page as soon as there is something for it; the next length replaces it.
            write(dataclasses.replace(report(found, best), where=where), options.folder)


if __name__ == "__main__":
    main(sys.argv[1:])
