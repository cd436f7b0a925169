"""The package as users get it: built, installed alone in a clean environment, imported."""

import email
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
    "huggingface_hub": "huggingface-hub",
    "orbax": "orbax-checkpoint",
    "tensorflow_datasets": "tensorflow-datasets",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_it_installs_and_imports_in_a_clean_environment(wheel, tmp_path):
    venv.create(tmp_path / "clean", with_pip=False)
    python = tmp_path / "clean" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True)
    # The dependencies, which another test finds declared, are borrowed and not installed again.
    ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip())
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    code = (
        "import attn_jax, attn_jax.hooks, attn_jax.ops, attn_jax.nn, attn_jax.models, "
        "attn_jax.tasks, attn_jax.train, attn_jax.plot; print(attn_jax.__file__)"
    )
    done = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "clean")


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
    third_party = found - sys.stdlib_module_names - {"attn_jax"}
    third_party = {name for name in third_party if (packages() / name).exists()}
    assert {"jax", "flax", "optax"} <= third_party
    assert {DISTRIBUTIONS.get(name, name).lower() for name in third_party} <= declared


def packages():
    return Path(sysconfig.get_path("purelib"))
