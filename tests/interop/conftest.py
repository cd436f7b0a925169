"""Lets the tests of this folder import the models, which do as they please with shapes."""

import os
import sys
from pathlib import Path

import jax
import pytest

os.environ["KERAS_BACKEND"] = "jax"
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def foreign():
    """Let the code of other libraries promote ranks, as theirs is no concern of ours."""
    before = jax.config.jax_numpy_rank_promotion
    jax.config.update("jax_numpy_rank_promotion", "allow")
    yield
    jax.config.update("jax_numpy_rank_promotion", before)


def pytest_addoption(parser):
    """Add the option for the libraries that need gigabytes of packages."""
    parser.addoption("--all", action="store_true", help="try the libraries of by_hand.json instead")


def pytest_sessionfinish(session):
    """Write the page of the documentation once every model was tried."""
    report = sys.modules.get("report")
    if report is not None:
        is_by_hand = session.config.getoption("--all", default=False)
        files = report.FILES_BY_HAND if is_by_hand else report.FILES
        if report.is_complete(files):
            report.write(files)
