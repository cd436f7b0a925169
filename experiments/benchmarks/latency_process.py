"""One door of the benchmark `latency`, opened in a process of its own.

`python -m experiments.benchmarks.latency_process NAME` imports what a door needs, calls it once,
again and many times, and prints what each took as a line of JSON.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from experiments.benchmarks.latency_doors import DOORS, Door

CALLS = 20
"""The calls over which the growth of memory is taken."""


def resident() -> float:
    """Return the resident memory in MiB, without garbage and what can be given back, if known."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # elsewhere than under glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = Path("/proc/self/statm")
    held = int(pages.read_text().split()[1]) if pages.exists() else 0
    return held * os.sysconf("SC_PAGE_SIZE") / 2**20


def opened(door: Door) -> dict[str, Any]:
    """Open a door, and measure.

    Args:
        door: The door.

    Returns:
        The processor seconds of `start` (of Python, imports and inputs), of the `first` call and of
        one `again`; the `programs` that each of the two calls compiled; the `growth` in MiB over
        more calls.
    """
    import jax

    compiled = []

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    call = door()
    times, programs = [time.process_time()], [len(compiled)]
    for _ in range(3):
        jax.block_until_ready(call())
        times.append(time.process_time())
        programs.append(len(compiled))
    held = []
    for _ in range(2):
        for _ in range(CALLS):
            jax.block_until_ready(call())
        held.append(resident())
    # The second call may still compile small operations on what the first one returned.
    return {
        "start": times[0],
        "first": times[1] - times[0],
        "again": times[3] - times[2],
        "programs": [programs[1] - programs[0], programs[3] - programs[2]],
        # The first of them still fill caches and the allocator's arenas.
        "growth": held[1] - held[0],
    }


def imported(package: str) -> dict[str, Any]:
    """Import a package; return the processor seconds since Python was started."""
    importlib.import_module(package)
    return {"start": time.process_time()}


if __name__ == "__main__":
    name = sys.argv[1]
    print(json.dumps(opened(DOORS[name]) if name in DOORS else imported(name)))
