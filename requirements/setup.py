"""Makes .venv from the locks; make runs it as `python requirements/setup.py`.

Whatever Python runs it needs nothing installed. Two runs in one clone take turns, an environment
that was left half-made is made anew, and each package is named while it is fetched.
"""

import contextlib
import os
import re
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
READY = ENVIRONMENT / ".ready"
SOURCES = ["requirements/base.lock", "requirements/build.lock", "pyproject.toml"]
BY_HASH = ["--no-deps", "--require-hashes", "--only-binary", ":all:"]


@contextlib.contextmanager
def turn() -> Iterator[None]:
    """Wait until no other process sets up this clone."""
    with open(ROOT / ".venv.lock", "w") as file:
        if os.name == "posix":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("Waiting for another make in this clone, which sets up .venv", flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_ready() -> bool:
    """Return whether the environment was finished after its sources changed."""
    return READY.exists() and all(
        READY.stat().st_mtime >= (ROOT / source).stat().st_mtime for source in SOURCES
    )


def has_pip() -> bool:
    """Return whether the environment has a Python that runs, with pip in it."""
    command = [ENVIRONMENT / "bin" / "python", "-m", "pip", "--version"]
    with contextlib.suppress(OSError):
        return not subprocess.run(command, capture_output=True, check=False).returncode
    return False


def make_environment() -> None:
    """Make an environment with pip in it, again if an earlier one was left half-made."""
    if has_pip():
        return
    if ENVIRONMENT.exists():
        print(".venv was left half-made: it is made again", flush=True)
    venv.create(ENVIRONMENT, with_pip=True, clear=True, symlinks=os.name == "posix")


def install(*arguments: str) -> None:
    """Run pip, and show which package it has come to, on one line of a terminal."""
    command = [ENVIRONMENT / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    process = subprocess.Popen(
        [*command, "install", "--progress-bar", "off", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines, count = [], 0
    for line in process.stdout:
        lines.append(line)
        if match := re.match(r"Collecting ([^ ;=]+)", line):
            count += 1
            show(f"  package {count}: {match[1]}")
        elif match := re.match(r"\s+Downloading \S*?([^/\s]+\.whl)\S* \((.+?)\)", line):
            show(f"  package {count}: {match[1].split('-')[0]} ({match[2]})")
        elif line.startswith("Installing collected"):
            show(f"  installing {count} packages")
    show("")
    if process.wait():
        sys.exit("".join(lines[-20:]) + "The environment is not finished: make goes on with it.")


def show(text: str) -> None:
    """Replace the line of a terminal; write nothing elsewhere."""
    if sys.stdout.isatty():
        print(f"\r\033[K{text}", end="", flush=True)


def main() -> None:
    """Set up, if nobody has done it while this process waited."""
    with turn():
        if is_ready():
            return
        began = time.monotonic()
        print("Setting up .venv: about 120 packages, 400 MB to fetch once", flush=True)
        make_environment()
        install(*BY_HASH, "-r", "requirements/build.lock")
        sources = ["--no-binary", "promise", "--no-build-isolation"]
        install(*BY_HASH, *sources, "-r", "requirements/base.lock")
        install("--no-deps", "--no-index", "--no-build-isolation", "-e", ".")
        READY.touch()
        print(f"Set up .venv in {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
