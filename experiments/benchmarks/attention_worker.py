"""The server of one framework in the benchmark `attention`.

The requests come in this order: `load` inputs of a length, `prepare` a case, `probe` it (compute it
once and return some rows), and `run` it any number of times.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.attention_cases import Case, inputs, probed

Call = Callable[[], Sequence[Any]]
"""Compute, wait for the end, and return the context and perhaps the query's gradient."""
Prepare = Callable[[Case, NDArray[np.float32]], tuple[Call, dict[str, Any]]]
# Calls shorter than this, in seconds, are repeated and averaged.
_SHORTEST = 0.03


class Session:
    """The inputs of one length and the cases prepared for them.

    Args:
        prepare: Makes the call of a case and a report about it.
    """

    def __init__(self, prepare: Prepare):
        self._make, self._calls = prepare, dict[Case, Call]()

    def load(self, tokens: int, heads: int) -> dict[str, Any]:
        """Make the inputs, and drop the earlier ones."""
        self._calls.clear()
        self._inputs = inputs(tokens, heads)
        return {}

    def prepare(self, *case: Any) -> dict[str, Any]:
        """Prepare a case; compile it if the framework compiles ahead of time."""
        self._calls[Case(*case)], about = self._make(Case(*case), self._inputs)
        return about

    def probe(self, *case: Any) -> dict[str, Any]:
        """Compute once, and return the first head's rows of a few queries."""
        rows = probed(self._inputs.shape[2])
        results = self._calls[Case(*case)]()
        return {"rows": [np.asarray(array[0, rows, 0]).tolist() for array in results]}

    def run(self, *case: Any) -> dict[str, Any]:
        """Return the seconds of a call, and those of all processors together."""
        call, calls = self._calls[Case(*case)], 0
        start, started = time.perf_counter(), time.process_time()
        while (elapsed := time.perf_counter() - start) < _SHORTEST or not calls:
            call()
            calls += 1
        return {"seconds": elapsed / calls, "cpu": (time.process_time() - started) / calls}


def serve(prepare: Prepare, **about: Any) -> None:
    """Answer each line of standard input, `[verb, ...]`, with a line of standard output.

    Args:
        prepare: As for :class:`Session`.
        about: The answer to `["about"]`.
    """
    answers, sys.stdout = sys.stdout, sys.stderr  # keeps what a framework prints out of the answers
    session = Session(prepare)
    verbs = {name: getattr(session, name) for name in ("load", "prepare", "probe", "run")}
    verbs["about"] = lambda: about
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        try:
            answer = verbs[verb](*arguments)
        except (
            RuntimeError,
            ValueError,
            MemoryError,
        ) as error:  # what frameworks raise when a case is too large or unsupported
            first_line = str(error).strip().partition("\n")[0]
            answer = {"error": first_line.rpartition("DefaultCPUAllocator: ")[2].rstrip(".")}
        print(json.dumps(answer), file=answers, flush=True)
