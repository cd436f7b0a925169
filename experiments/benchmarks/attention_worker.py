"""How a side of the benchmark `attention` answers: one program for each framework.

A side is asked, in this order, to `load` inputs of a length, to `prepare` a case, to `probe` it,
that is to compute it once and show some rows, and to `run` it as often as one likes.
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
"""Computes, waits until it is done, and returns the context and perhaps the query's gradient."""
Prepare = Callable[[Case, NDArray[np.float32]], tuple[Call, dict[str, Any]]]
# Calls shorter than this are repeated, and their mean is taken.
_SHORTEST = 0.03


class Session:
    """Holds the inputs of one length and the cases prepared for them.

    Args:
        prepare: Makes the call of a case, and what there is to say about it.
    """

    def __init__(self, prepare: Prepare):
        self._make, self._calls = prepare, dict[Case, Call]()

    def load(self, tokens: int, heads: int) -> dict[str, Any]:
        """Makes the inputs, and forgets those before."""
        self._calls.clear()
        self._inputs = inputs(tokens, heads)
        return {}

    def prepare(self, *case: Any) -> dict[str, Any]:
        """Compiles, where the framework does so beforehand."""
        self._calls[Case(*case)], about = self._make(Case(*case), self._inputs)
        return about

    def probe(self, *case: Any) -> dict[str, Any]:
        """Computes once, and shows the first head's rows of a few queries."""
        rows = probed(self._inputs.shape[2])
        results = self._calls[Case(*case)]()
        return {"rows": [np.asarray(one[0, rows, 0]).tolist() for one in results]}

    def run(self, *case: Any) -> dict[str, Any]:
        """The seconds of a call."""
        call, calls, start = self._calls[Case(*case)], 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < _SHORTEST or not calls:
            call()
            calls += 1
        return {"seconds": elapsed / calls}


def serve(prepare: Prepare, **about: Any) -> None:
    """Answers each line of standard input, `[verb, ...]`, by one of standard output.

    Args:
        prepare: As for :class:`Session`.
        about: The answer to `["about"]`.
    """
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a framework prints is no answer
    session = Session(prepare)
    verbs = {name: getattr(session, name) for name in ("load", "prepare", "probe", "run")}
    verbs["about"] = lambda: about
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        try:
            answer = verbs[verb](*arguments)
        except (RuntimeError, MemoryError) as error:  # what frameworks raise where they cannot
            first_line = str(error).strip().partition("\n")[0]
            answer = {"error": first_line.rpartition("DefaultCPUAllocator: ")[2].rstrip(".")}
        print(json.dumps(answer), file=answers, flush=True)
