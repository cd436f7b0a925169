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


def pytest_sessionfinish(session):
    """Write the page of the documentation once every model was tried."""
    report = sys.modules.get("report")
    if report is not None and report.is_complete():
        report.write()
