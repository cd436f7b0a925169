"""Lets the tests of this folder import `crash`; the programs beside it run in other processes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

collect_ignore = ["scenarios.py", "server.py"]
