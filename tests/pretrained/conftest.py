"""Lets the tests of this folder write checkpoints as the golden ones do."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))

# They need PyTorch and transformers, which only the environment of `make parity` has.
collect_ignore = ["make_real_references.py", "real_whisper.py"]
