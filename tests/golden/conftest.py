"""Lets the tests of this folder import the cases beside them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

# These need the peers' packages, which only `make golden` and `make parity` have.
collect_ignore_glob = ["make_golden_*.py", "*_peers.py"]
