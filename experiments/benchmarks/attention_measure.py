"""The measurements of the benchmark `attention`: JAX and PyTorch in turn, fresh ones for memory."""

import contextlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.attention_cases import (
    MIB,
    SIDES,
    Case,
    cases,
    heads,
    inputs,
    reference,
)
from experiments.benchmarks.peers import Peer, peers_python
from experiments.benchmarks.record import spread

FEWEST_ROUNDS = 2
# The most rounds of a case, and the seconds they may take; the length with targets gets more time.
MOST, MOST_AT = (21, 1.5), {8192: (7, 15.0)}
LONGEST_CALL = 25.0
# Float32 sums in another order differ by less than this.
_TOLERANCE = 1e-4
Found = dict[Case, dict[str, Any]]


@contextlib.contextmanager
def sides(*names: str) -> Iterator[dict[str, Peer]]:
    """Start some sides, `"jax"` and `"torch"`, and end them."""
    settings = {
        "JAX_PLATFORMS": "cpu",
        "OMP_WAIT_POLICY": "PASSIVE",  # PyTorch's idle threads would take the other side's cores
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }
    with contextlib.ExitStack() as stack:
        peers = {}
        for name in names:
            python = sys.executable if name == "jax" else peers_python()
            command = [python, "-m", f"experiments.benchmarks.attention_{name}"]
            peers[name] = stack.enter_context(contextlib.closing(Peer(command, **settings)))
        yield peers


def measure(tokens: int, peers: Mapping[str, Peer], earlier: Found, earlier_tokens: int) -> Found:
    """Measure all cases of a length in turn, on the sides that are running.

    Args:
        tokens: The length.
        peers: The sides.
        earlier: Results at a shorter length, which predict the time of a call.
        earlier_tokens: That length.

    Returns:
        For each case what its side reports and `seconds`, one for each round; or `left_out`, the
        reason why it was not measured.
    """
    growth = _work(tokens) / _work(earlier_tokens)
    arrays, found = inputs(tokens, heads(tokens)), {}
    for peer in peers.values():
        peer.ask(["load", tokens, heads(tokens)])
    for case in cases(tokens):
        if SIDES[case.contender] in peers:
            foreseen = growth * _least(earlier.get(case, {}))
            found[case] = (
                {"left_out": f"a call would take {foreseen:.0f} s", "foreseen": foreseen}
                if foreseen > LONGEST_CALL
                else prepared(case, peers[SIDES[case.contender]], arrays)
            )
    _take_turns(found, peers, *MOST_AT.get(tokens, MOST))
    return found


def _work(tokens: int) -> int:
    return heads(tokens) * tokens**2


def _least(about: Mapping[str, Any]) -> float:
    return min(about.get("seconds", [about.get("foreseen", 0.0)]))


def prepared(case: Case, peer: Peer, arrays: np.ndarray) -> dict[str, Any]:
    """Let a side prepare a case, and check its results; return its report.

    Raises:
        RuntimeError: If the results differ from those in float64.
    """
    about = peer.ask(["prepare", *case])
    probed = about if "error" in about else peer.ask(["probe", *case])
    if "error" in probed:
        return {"left_out": probed["error"]}
    for shown, expected in zip(probed["rows"], reference(case, arrays), strict=True):
        difference = np.abs(np.array(shown) - expected).max()
        if not difference < _TOLERANCE:
            raise RuntimeError(
                f"{case}: results differ by {difference:.2g} from the reference in float64, more "
                f"than {_TOLERANCE}; {case.contender} does not compute what the others do."
            )
    return about


def _take_turns(found: Found, peers: Mapping[str, Peer], most: int, budget: float) -> None:
    """Call each case once per round, back and forth, while its budget lasts."""
    for turn in range(most):
        measured = [case for case, about in found.items() if "left_out" not in about]
        for case in measured[:: (-1) ** turn]:
            seconds = found[case].setdefault("seconds", [])
            if turn < FEWEST_ROUNDS or turn < budget / seconds[0]:
                answer = peers[SIDES[case.contender]].ask(["run", *case])
                if "error" in answer:
                    found[case] = {"left_out": answer["error"]}
                else:
                    seconds.append(answer["seconds"])


def peak_memory(tokens: int, heads: int, chosen: Iterable[Case]) -> Found:
    """Measure memory in fresh processes, each of which computes one case.

    Args:
        tokens: The length.
        heads: The number of heads.
        chosen: The cases.

    Returns:
        For each case `process`, the peak bytes of its process, `call`, the most that the call
        added, and `seconds`; or `left_out`, the reason why it was not measured.
    """
    found = {}
    for case in chosen:
        with sides(SIDES[case.contender]) as peers:
            (peer,) = peers.values()
            peer.ask(["load", tokens, heads])
            about = peer.ask(["prepare", *case])
            found[case] = about if "error" in about else _peak(peer, case)
        if "error" in found[case]:
            found[case] = {"left_out": found[case]["error"]}
    return found


def _peak(peer: Peer, case: Case) -> dict[str, Any]:
    process = Path(f"/proc/{peer.process.pid}")
    if not (process / "clear_refs").exists():
        return {"error": "only Linux reports the peak memory of a process"}
    before = _status(process, "VmHWM")
    (process / "clear_refs").write_text("5")  # the high-water mark falls to what is held now
    held = _status(process, "VmHWM")
    answer = peer.ask(["run", *case])
    most = _status(process, "VmHWM")
    return answer | {"process": max(before, most), "call": most - held}


def _status(process: Path, field: str) -> int:
    found = re.search(rf"{field}:\s*(\d+) kB", (process / "status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def progress(tokens: int, found: Found) -> None:
    """Print the results of a length, one line per case."""
    for case, about in found.items():
        print(f"{tokens:>6} {case}: {about.get('left_out') or _result(about)}", flush=True)


def _result(about: Mapping[str, Any]) -> str:
    if "call" in about:
        return f"{about['call'] / MIB:.0f} MiB"
    seconds = spread(about["seconds"])
    return f"{1e3 * seconds['median']:.4g} ms, {len(about['seconds'])} rounds"
