"""Lets the tests of this folder import the cases of fuzzing."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "fuzz"), str(Path(__file__).parent)]
