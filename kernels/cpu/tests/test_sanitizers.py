"""The kernels on random problems, under sanitizers and on ARM; `make sanitize` runs it."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SANITIZERS = {
    "memory": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "threads": ["-fsanitize=thread"],
}


def load_build():
    """Return build.py, which is no package."""
    spec = importlib.util.spec_from_file_location("build", HERE.parent / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load_build()


def output_of(*command, **environment):
    """Run a command; return what it said, and whether it succeeded."""
    done = subprocess.run(
        list(map(str, command)), env=os.environ | environment, capture_output=True, text=True
    )
    return done.stdout + done.stderr, done.returncode == 0


@pytest.fixture(scope="module", params=SANITIZERS)
def program(request, tmp_path_factory):
    """Random problems with the kernels of all instruction sets, under a sanitizer."""
    folder, flags = tmp_path_factory.mktemp("sanitizers"), SANITIZERS[request.param]
    compiler = build.compiler()
    if compiler is None:
        pytest.skip("there is no C++ compiler: install g++ or clang++, or name one by CXX=...")
    empty, target = folder / "empty.cc", folder / "empty"
    empty.write_text("int main() {}")
    for command in ([*compiler, *flags, empty, "-o", target], [target]):
        said, succeeded = output_of(*command)
        if not succeeded:
            pytest.skip(f"programs with {flags[0]} do not work here: {said[-300:]}")
    target = folder / "random_problems"
    build.compile_kernels(target, [HERE / "random_problems.cc"], *flags, "-O1", "-g1")
    return target


@pytest.mark.parametrize("isa", build.instruction_sets())
def test_random_problems_are_clean(program, isa):
    """Neither a sanitizer nor the comparison of threads has a complaint."""
    said, succeeded = output_of(program, 100, 1, ATTN_JAX_CPU_ISA=isa)
    assert succeeded, said[-4000:]
    assert "0 of 100 problems are wrong" in said


def test_an_emulated_arm_processor_computes_the_same(tmp_path, monkeypatch):
    """The NEON form, compiled by a cross compiler without warnings, is as exact."""
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if not (emulator and shutil.which("aarch64-linux-gnu-g++")):
        pytest.skip("install g++-aarch64-linux-gnu and qemu-user to run the NEON form here")
    monkeypatch.setenv("CXX", "aarch64-linux-gnu-g++")
    target = tmp_path / "random_problems"
    sources = [HERE / "random_problems.cc"]
    build.compile_kernels(target, sources, "-static", "-Werror", machine="aarch64")
    said, succeeded = output_of(emulator, target, 40, 1, "float64")
    assert succeeded, said[-4000:]
    assert "neon: 0 of 40 problems are wrong" in said
