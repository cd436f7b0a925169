"""Lets the tests of this folder write checkpoints as the golden ones do."""

import dataclasses
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))

# They need packages that the library does without, such as PyTorch and ONNX Runtime.
collect_ignore_glob = ["make_real_*.py", "real_*.py"]


@pytest.fixture(scope="module")
def golden_model(tmp_path_factory):
    """Return a function that opens the checkpoint of a golden file, with padding it can read."""
    from pretrained_folder import write_golden

    from attn_jax import pretrained

    models = {}

    def golden_model(family):
        if family not in models:
            model = pretrained.load(write_golden(family, tmp_path_factory.mktemp("golden")))
            # The usual padding of some families is not in the vocabulary of a tiny model.
            rules = dataclasses.replace(model.rules, pad=1)
            models[family] = dataclasses.replace(model, rules=rules)
        return models[family]

    return golden_model
