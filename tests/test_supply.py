"""Nothing is installed but by hash, and what is installed is known."""

import importlib.util
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
# A version, on some platforms only, and then its hashes; no address, no option of pip.
ENTRY = re.compile(
    r"([a-z0-9-]+)==([\w.+]+)(?: ; [^\\\n]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n"
)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_each_line_of_a_lock_has_a_version_and_hashes(lock):
    assert ENTRY.sub("", lock.read_text()) == ""


MEETING = ["build", "dev", "cuda", "tpu", "parity", "parity-cpu", "bridge", "bridge-cpu"]
MEETING += ["interop", "interop-all"]


@pytest.mark.parametrize("name", MEETING)
def test_locks_that_meet_in_an_environment_agree(name):
    base, other = versions("base"), versions(name)
    shared = base.keys() & other.keys()
    if name.startswith("interop"):  # older ones, which these environments put in front
        shared -= {"huggingface-hub", "tokenizers", "safetensors"}
    assert {name: other[name] for name in shared} == {name: base[name] for name in shared}


def test_the_oldest_environment_has_the_lowest_versions_that_are_admitted():
    extras = PROJECT["project"]["optional-dependencies"]
    lines = PROJECT["project"]["dependencies"] + extras["flax"] + extras["train"]
    lowest = dict(line.split(">=") for line in lines if ">=" in line)
    pinned = versions("oldest")
    for package in ("jax", "flax", "optax"):
        assert pinned[package] == {lowest[package].partition(" ")[0]}


def test_the_only_package_that_is_built_from_source_has_no_wheel():
    # A source has a single hash; a package of many platforms has one for each wheel.
    (text,) = (m[0] for m in ENTRY.finditer(lock_text("base")) if m[1] == "promise")
    assert text.count("--hash") == 1
    assert "promise" not in versions("build")


@pytest.mark.parametrize("path", ["Makefile", "experiments/benchmarks/peers.py", ".ci/run"])
def test_every_install_is_by_hash(path):
    lines = (ROOT / path).read_text().replace("\\\n", " ").splitlines()
    installs = [line for line in lines if re.search(r'-m"?,? "?pip\b', line)]
    # The project itself comes from the folder, without network and without isolation.
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)
    assert installs or path == ".ci/run"


def test_the_environment_is_set_up_by_hash():
    text = (ROOT / "requirements/setup.py").read_text()
    installs = re.findall(r"^        install\(.*\)$", text, re.MULTILINE)
    assert len(installs) == 3
    assert all("*BY_HASH" in line or '"--no-index"' in line for line in installs)
    assert 'BY_HASH = ["--no-deps", "--require-hashes", "--only-binary", ":all:"]' in text


REPORT = {
    "dependencies": [
        {"name": "sound", "version": "1.0", "vulns": []},
        {
            "name": "holed",
            "version": "2.0",
            "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1", "3.0"]}],
        },
        {"name": "stranger", "skip_reason": "not found"},
    ]
}


def test_a_known_vulnerability_fails(audit, monkeypatch, capsys):
    answer(monkeypatch, json.dumps(REPORT))
    assert audit.main() == 1
    assert capsys.readouterr().out.splitlines() == [
        "holed 2.0: PYSEC-1, fixed in 2.1, 3.0",
        "Vulnerabilities: 1 in 2 of 3 locked packages",
    ]


def test_packages_without_a_known_vulnerability_pass(audit, monkeypatch, capsys):
    answer(monkeypatch, json.dumps({"dependencies": REPORT["dependencies"][:1]}))
    assert audit.main() == 0
    assert capsys.readouterr().out == "Vulnerabilities: 0 in 1 of 1 locked packages\n"


@pytest.mark.parametrize(
    ("stdout", "stderr", "reason"),
    [
        ("", "Traceback\nConnectionError: no route", "could not ask: ConnectionError: no route"),
        (
            json.dumps({"dependencies": REPORT["dependencies"][2:]}),
            "",
            "the database has none of the 1 packages",
        ),
    ],
    ids=["unreachable", "unknown"],
)
def test_no_answer_is_a_line_and_passes(audit, monkeypatch, capsys, stdout, stderr, reason):
    answer(monkeypatch, stdout, stderr)
    assert audit.main() == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert reason in line


def test_an_answer_that_does_not_come_is_a_line(audit, monkeypatch, capsys):
    def hang(*_, timeout, **__):
        raise subprocess.TimeoutExpired("pip_audit", timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    assert audit.main() == 0
    assert capsys.readouterr().out.count("\n") == 1


@pytest.fixture(scope="module")
def audit():
    spec = importlib.util.spec_from_file_location("audit", ROOT / "requirements" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answer(monkeypatch, stdout, stderr=""):
    """Put an answer in the place of pip-audit's."""
    done = subprocess.CompletedProcess([], 0, stdout, stderr)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)


def lock_text(name):
    return (ROOT / "requirements" / f"{name}.lock").read_text()


def versions(name):
    """Return the versions of each package of a lock, more than one where platforms differ."""
    packages = {}
    for match in ENTRY.finditer(lock_text(name)):
        packages.setdefault(match[1], set()).add(match[2])
    return packages
