"""The sides of the benchmark `kernel`: JAX with the kernels, and PyTorch twice."""

import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from experiments.benchmarks.attention_cases import Case
from experiments.benchmarks.peers import ROOT, Peer, peers_python

TORCH, WIDEST = "PyTorch", "PyTorch, widest"
_MASKS = ("full", "causal")
# MKL takes its widest instructions by itself only on the processors of one maker, which it asks by
# these functions. Loaded before it, they answer yes.
_ASSENT = "int mkl_serv_intel_cpu(void) {return 1;} int mkl_serv_intel_cpu_true(void) {return 1;}"


class Turn(NamedTuple):
    """A case, and the process that computes it."""

    side: str
    case: Case


def turns() -> list[Turn]:
    """Return all that is measured at each length, ours and PyTorch's next to each other."""
    chosen = []
    for mask in _MASKS:
        for passes in ("forward", "gradient"):
            ours = ["kernel", "streaming"]
            ours += ["kernel + entropy", "kernel + all"] if passes == "forward" else []
            chosen += [Turn("jax", Case(who, mask, passes)) for who in ours]
            chosen += [Turn(side, Case("PyTorch sdpa", mask, passes)) for side in (WIDEST, TORCH)]
    return chosen


@contextlib.contextmanager
def sides() -> Iterator[dict[str, Peer]]:
    """Start the processes, with kernels built from this clone if none are installed.

    Raises:
        RuntimeError: If there is no C++ compiler, or it fails.
    """
    build = _build_module()
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path = [str(ROOT)]
        if importlib.util.find_spec("attn_jax_cpu") is None:
            build.build(scratch)
            path.insert(0, str(scratch))
        assent = scratch / "assent.so"
        command = [*(build.compiler() or ["c++"]), "-shared", "-fPIC", "-x", "c", "-", "-o", assent]
        subprocess.run(command, input=_ASSENT, text=True, check=True)

        def start(name: str, python: str | Path, **settings: str) -> Peer:
            command = [python, "-m", f"experiments.benchmarks.attention_{name}"]
            # PyTorch's idle threads would take the other sides' cores.
            peer = Peer(command, JAX_PLATFORMS="cpu", OMP_WAIT_POLICY="PASSIVE", **settings)
            return stack.enter_context(contextlib.closing(peer))

        yield {
            "jax": start("jax", sys.executable, PYTHONPATH=os.pathsep.join(path)),
            TORCH: start("torch", peers_python()),
            WIDEST: start("torch", peers_python(), LD_PRELOAD=str(assent)),
        }


def _build_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build", ROOT / "kernels" / "cpu" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
