"""Lets the tests of this folder import `tiny`, and compiles what several of them need once."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from compilations import reused


@pytest.fixture(scope="package", autouse=True)
def compilations(tmp_path_factory):
    """A cache of compilations for this folder; returns the environment that shares it."""
    with reused(tmp_path_factory.mktemp("compilations")) as environment:
        yield environment
