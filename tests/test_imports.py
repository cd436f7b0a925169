"""What importing a package brings with it, and what it says where only the core is installed."""

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("package", ["hooks", "ops", "measure", "circuits", "tasks"])
def test_slow_packages_are_imported_where_they_are_used(package):
    code = f"import sys, attn_jax.{package}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    slow = {"flax", "matplotlib", "optax", "orbax", "scipy", "tensorflow_datasets", "torch"}
    assert not slow & set(done.stdout.split())


def requirements(lines):
    """Return the names in lines of requirements, without those of extras."""
    return {re.split(r"[^\w.-]", line)[0] for line in lines or [] if "extra ==" not in line}


@pytest.fixture(scope="module")
def core_only(tmp_path_factory):
    """Run a line of Python that finds only what `pip install attn-jax` brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    folder, names, waiting = tmp_path_factory.mktemp("core"), set(), project["dependencies"]
    waiting = list(requirements(waiting))
    while waiting:
        name = waiting.pop()
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # of another Python or system
            continue
        if distribution.name not in names:
            names.add(distribution.name)
            waiting += requirements(distribution.requires)
    for name in names:
        files = metadata.files(name) or []
        for top in {Path(file).parts[0] for file in files} - {"..", "__pycache__"}:
            (folder / top).symlink_to(metadata.distribution(name).locate_file(top))

    def run(code):
        # -S: without the environment's own packages.
        return subprocess.run(
            [sys.executable, "-S", "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"},
        )

    return run


DATES = "from attn_jax.tasks.translation.dates"


@pytest.mark.parametrize(
    "package", ["circuits", "hooks", "interop", "measure", "ops", "plot", "tasks"]
)
def test_the_core_needs_only_what_is_always_installed(package, core_only):
    done = core_only(f"import attn_jax.{package}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("import attn_jax.nn", "flax"),
        ("import attn_jax.models", "flax"),
        ("import attn_jax.pretrained", "flax"),
        ("import attn_jax.train", "train"),
        (f"{DATES} import dates_examples as d; d(train=1, validation=1, test=1, seed=0)", "text"),
    ],
)
def test_what_is_missing_is_named_with_the_line_that_installs_it(code, extra, core_only):
    done = core_only(code)
    assert f"pip install 'attn-jax[{extra}]'" in done.stderr


def test_a_command_without_its_packages_says_so_in_a_line(core_only):
    done = core_only(
        "import sys; sys.argv[1:] = ['mnist_additive']; "
        "from experiments.__main__ import entry; sys.exit(entry())"
    )
    assert done.returncode == 2
    assert done.stderr == ("the package 'flax' is missing: pip install 'attn-jax[train]'.\n")
