"""Lets the tests of this folder write checkpoints as the golden ones do."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))

# They need packages that the library does without, such as PyTorch and ONNX Runtime.
collect_ignore_glob = ["make_real_*.py", "real_*.py"]
