"""Lets the tests of this folder import the families, and writes their page."""

import importlib.util
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "critical"
sys.path.insert(0, str(Path(__file__).parent))
# The parts of these tests, which pytest opens to look for examples in them.
collect_ignore_glob = [] if importlib.util.find_spec("torchax") else ["bridge_*.py"]


def pytest_sessionfinish():
    """Write the page of the documentation once every family was tried."""
    report = sys.modules.get("bridge_report")
    if report is not None and report.is_complete():
        report.write()
