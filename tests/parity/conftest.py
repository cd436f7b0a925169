"""Lets the tests of this folder import the cases of the golden files."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))
