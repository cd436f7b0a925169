"""Attention on a GPU or TPU: which implementation is the fastest where, within ten minutes."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.attention_cases import probed, reference
from experiments.benchmarks.attention_jax import gradient_of
from experiments.benchmarks.device_cases import (
    SMOKE,
    WAYS,
    Scale,
    Setting,
    Way,
    arrays_of,
    attention,
    case,
)
from experiments.benchmarks.device_report import Row, best_blocks, read, report
from experiments.benchmarks.record import DOCS, write

PART = "device"
BUILD = DOCS.parents[1] / "build" / "benchmarks"
DTYPES = ("bfloat16", "float32")
ROUNDS = 5
# Calls are repeated for this long, in seconds, before the device is waited for.
_SHORTEST = 0.02
# Larger differences are not those of a type: something else was computed.
_TOLERANCE = 0.05
_NO_DEVICE = (
    "no accelerator: this part decides which implementation `auto` takes on a GPU or TPU, and JAX "
    "sees only a CPU. `make setup DEVICE=cuda` installs JAX for NVIDIA GPUs; here, --smoke runs "
    "it on tiny arrays, without a page."
)


def measure(setting: Setting, ways: Iterable[Way], scale: Scale) -> list[Row]:
    """Compile all ways to compute a setting, check their results, and time them in turn.

    Args:
        setting: The setting.
        ways: The ways.
        scale: The sizes of the inputs.

    Returns:
        A row for each way: its seconds, or the reason why there are none.
    """
    given = arrays_of(setting, scale.inputs(setting.tokens))
    exact = np.asarray([x.astype(jnp.float32) for x in given])
    expected = reference(case(setting), exact)
    calls, rows = [], []
    for way in ways:
        row = Row(setting, way)
        try:
            call, row.about["temporaries"] = _compile(way, setting, given)
            row.about["difference"] = _difference(call(), expected, setting.tokens)
        except (RuntimeError, ValueError, NotImplementedError, MemoryError) as error:
            # What a device raises where an array is too large or an option is not there.
            row.about["left_out"] = str(error).strip().partition("\n")[0][:200]
        else:
            calls.append((call, row.about.setdefault("seconds", [])))
        rows.append(row)
    for turn in range(ROUNDS):
        for call, seconds in calls[:: (-1) ** turn]:
            seconds.append(_seconds(call))
    return rows


def _compile(way: Way, setting: Setting, given: list[jax.Array]) -> tuple[Callable[[], Any], int]:
    attend = attention(way, setting)
    function, arrays = (
        (gradient_of(attend), given) if setting.passes == "gradient" else (attend, given[:3])
    )
    compiled = jax.jit(function).lower(*arrays).compile()
    analysis = compiled.memory_analysis()
    return lambda: compiled(*arrays), 0 if analysis is None else analysis.temp_size_in_bytes


def _difference(results: Any, expected: Sequence[np.ndarray], tokens: int) -> float:
    """Return the largest difference in some rows; refuse one that no rounding explains."""
    rows = probed(tokens)
    differences = [
        np.abs(np.asarray(x[0, rows, 0], np.float64) - y).max()
        for x, y in zip(results, expected, strict=False)
    ]
    if not max(differences) < _TOLERANCE:
        raise ValueError(f"results differ by {max(differences):.2g} from float64")
    return float(max(differences))


def _seconds(call: Callable[[], Any]) -> float:
    """Return the seconds of a call, of as many in a row as fill the time."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    first = time.perf_counter() - start
    calls = min(100, int(_SHORTEST / first) + 1)
    start = time.perf_counter()
    for _ in range(calls - 1):
        call()
    jax.block_until_ready(call())
    return (time.perf_counter() - start) / calls


def run(scale: Scale, seconds: float, keep: Callable[[Row], None]) -> bool:
    """Measure the settings that the time allows, those that decide most first.

    Args:
        scale: How much is measured.
        seconds: The time.
        keep: Called with each row as soon as it is known.

    Returns:
        Whether all of them were measured.
    """
    start, longest = time.monotonic(), 0.0
    for dtype in DTYPES:
        setting, grid = scale.grids(dtype)
        blocks = best_blocks([row for way in grid for row in _kept(setting, [way], scale, keep)])
        for setting in scale.settings(dtype):
            begun = time.monotonic()
            if begun - start + longest > seconds:
                return False
            _kept(setting, _ways(setting, blocks), scale, keep)
            longest = max(longest, time.monotonic() - begun)
    return True


def _ways(setting: Setting, blocks: tuple[int, int] | None) -> list[Way]:
    names = WAYS if setting.summary == "none" else WAYS[2:]
    return [Way(name, blocks if name == "pallas" else None) for name in names]


def _kept(
    setting: Setting, ways: Iterable[Way], scale: Scale, keep: Callable[[Row], None]
) -> list[Row]:
    rows = measure(setting, ways, scale)
    for row in rows:
        keep(row)
    return rows


def main(arguments: Sequence[str]) -> int:
    """Measure, keep each row, and write the page and the thresholds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=540, help="The time it may take.")
    parser.add_argument("--folder", type=Path, help="Folder of the page.")
    parser.add_argument("--smoke", action="store_true", help="Tiny arrays, on any device.")
    parser.add_argument("--report", action="store_true", help="Write the page of rows kept before.")
    options = parser.parse_args(arguments)
    folder = options.folder or (BUILD if options.smoke else DOCS)
    lines = folder / f"{PART}.jsonl"
    if options.report:
        write(report(read(lines), complete=False), folder)
        return 0
    if jax.default_backend() == "cpu" and not options.smoke:
        print(_NO_DEVICE, file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    with lines.open("w", encoding="utf-8") as file:

        def keep(row: Row) -> None:
            rows.append(row)
            print(json.dumps(row.as_json()), file=file, flush=True)
            print(row, flush=True)

        complete = run(SMOKE if options.smoke else Scale(), options.seconds, keep)
    write(report(rows, complete=complete), folder)
    # All is in the page's JSON; the lines are for runs that are ended before.
    lines.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
