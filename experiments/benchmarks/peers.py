"""The environment of the benchmarks' peers, made on first use, and the pipe to a peer."""

import json
import os
import subprocess
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".peers"
# Float32 sums in another order change the logits by less than this.
_TOLERANCE = 1e-3
_LOCKS = ("parity-cpu", "parity")


class Peer:
    """A program in a process of its own, which works only on request.

    Args:
        command: The command, which answers each line of standard input with a line of standard
            output, both JSON.
        settings: Environment variables for the process.
    """

    def __init__(self, command: Sequence[str | Path], **settings: str):
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | settings,
        )

    def ask(self, question: Any) -> dict[str, Any]:
        """Send a line and wait for the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(question), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            status = self.process.wait()
            raise RuntimeError(f"{self.process.args} ended with status {status}.")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


class SameModel(Peer):
    """PyTorch with the same model, which is verified by its logits.

    Args:
        script: The script for the peers' Python, whose first answer has the logits' `difference`.
        settings: The settings.
        arrays: The parameters, the data, and the logits to reproduce.
        folder: The folder for a file with the arrays.

    Raises:
        RuntimeError: If the logits differ.
    """

    def __init__(
        self,
        script: Path,
        settings: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        folder: Path,
    ):
        path = folder / "arrays.npz"
        np.savez(path, **dict[str, Any](arrays))
        super().__init__([peers_python(), script])
        self.about = self.ask({**settings, "arrays": str(path)})
        difference = self.about["difference"]
        if not difference < _TOLERANCE:
            raise RuntimeError(
                f"PyTorch's logits differ from ours by {difference:.2g}, more than {_TOLERANCE}: "
                f"the models differ, so {script.name} needs the change that was made in "
                "attn_jax/models."
            )


def peers_python(folder: Path = PEERS, locks: Sequence[str] = _LOCKS) -> Path:
    """Return the interpreter of the peers' environment, which is made if it does not exist.

    PyTorch's CPU build is installed if pip finds one that the lock admits. Otherwise the registry's
    own build is, which on Linux brings gigabytes of CUDA libraries that the benchmarks never use.

    Args:
        folder: The folder of the environment.
        locks: The names of locks in `requirements/`, of which the first that pip can install is.

    Returns:
        The path of its Python.

    Raises:
        RuntimeError: If pip cannot install the peers, or the folder is a link, behind which
            somebody else's environment would be cleared.
    """
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    paths = [ROOT / "requirements" / f"{name}.lock" for name in locks]
    content = "".join(path.read_text() for path in paths)
    stamp = folder / "installed.lock"
    if not stamp.is_file() or stamp.read_text() != content:
        if folder.is_symlink():
            raise RuntimeError(f"{folder} is a link to an environment of other locks; remove it.")
        print(f"making {folder.name}/, the environment of the benchmarks' peers", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        _install(python, paths)
        stamp.write_text(content)
    return python


def lens_python() -> Path:
    """Return the interpreter of the environment with TransformerLens, made like the peers'."""
    return peers_python(PEERS.with_name(".peers-lens"), ("lens-cpu", "lens"))


def _install(python: Path, locks: Sequence[Path]) -> None:
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    errors = []
    for lock in locks:
        command = [*pip, "--only-binary", ":all:", "--requirement", str(lock)]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode == 0:
            return
        errors.append(f"{lock.name}: {done.stderr}")
    raise RuntimeError("pip could not install the benchmarks' peers:\n" + "\n".join(errors))
