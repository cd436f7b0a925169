"""Build the kernels without CMake: `python build.py FOLDER` makes the package in a folder.

`make setup` and the tests use it, with the first C++ compiler it finds; CMakeLists.txt builds the
wheels. Both take their flags from flags.json. It needs jax, whose headers it compiles against.
"""

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def compiler() -> list[str] | None:
    """Return the command of a C++ compiler: $CXX, or the first that there is."""
    if command := os.environ.get("CXX"):
        return shlex.split(command)
    return next(([name] for name in ("g++", "clang++", "c++") if shutil.which(name)), None)


def build(folder: Path, *more: str) -> None:
    """Compile the kernels and put the package into a folder.

    Args:
        folder: Where `attn_jax_cpu` is put.
        more: More flags for compiler and linker.

    Raises:
        RuntimeError: If there is no compiler, or it fails; the message is its first error.
    """
    with tempfile.TemporaryDirectory() as scratch:
        library = Path(scratch) / "attn_jax_cpu.so"
        sources = [HERE / "src" / "handlers.cc"]
        compile_kernels(library, sources, "-shared", "-isystem", _headers(), *more)
        package = folder / "attn_jax_cpu"
        package.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "attn_jax_cpu" / "__init__.py", package)
        # A process that has loaded the old library keeps it, and none finds half a library.
        new = Path(shutil.copy(library, package / "attn_jax_cpu.new"))
        new.replace(package / "attn_jax_cpu.so")


def compile_kernels(
    target: Path, sources: Sequence[Path], *more: str, machine: str | None = None
) -> None:
    """Compile the kernels for all instruction sets of a machine, and link them with sources.

    Args:
        target: The library or program.
        sources: What calls the kernels.
        more: More flags for compiler and linker.
        machine: The machine that the compiler compiles for, if it is not this one.

    Raises:
        RuntimeError: If there is no compiler, or it fails; the message is its first error.
    """
    command = compiler()
    if command is None:
        raise RuntimeError("no C++ compiler was found (g++ or clang++; CXX=... names one)")
    sets = instruction_sets(machine)
    common = [*_flags()["common"].split(), *more]
    with tempfile.TemporaryDirectory() as scratch:
        units = [(source, []) for source in (*sources, HERE / "src" / "choice.cc")]
        kernels = HERE / "src" / "kernels.cc"
        units += [(kernels, [*on.split(), f"-DATTN_ISA={name}"]) for name, on in sets.items()]
        objects = [f"{scratch}/{number}.o" for number in range(len(units))]
        for (source, own), unit in zip(units, objects, strict=True):
            _run([*command, *common, *own, "-c", str(source), "-o", unit])
        _run([*command, *more, *objects, "-o", str(target), "-pthread"])


def instruction_sets(machine: str | None = None) -> dict[str, str]:
    """Return the instruction sets of a machine, of this one if None, each with its flags."""
    flags, machine = _flags(), (machine or platform.machine()).lower()
    return flags.get(_MACHINES.get(machine, machine), flags["other"])


def _flags() -> dict[str, Any]:
    return json.loads((HERE / "flags.json").read_text())


def _headers() -> str:
    import jax.ffi

    return jax.ffi.include_dir()


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise RuntimeError(f"{command[0]} cannot be run: {error.strerror}") from None
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line]
        raise RuntimeError(f"{command[0]} failed: {errors[0] if errors else 'it named no error'}")


if __name__ == "__main__":
    try:
        build(Path(sys.argv[1]), *sys.argv[2:])
    except RuntimeError as error:
        sys.exit(f"Compiled kernels for CPUs are not built: {error}. Attention works without them.")
