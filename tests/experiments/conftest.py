"""Keeps the paths that tests name apart from the user's own, and writes a tiny checkpoint."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))

from pretrained_folder import write_folder  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def known_paths(tmp_path_factory):
    """An empty list of known paths, which all tests of a worker share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def tiny_bert():
    """What transformers made of a random BERT: its tensors, tokens and attentions."""
    with np.load(GOLDEN / "pretrained_bert.npz") as golden:
        return dict(golden)


@pytest.fixture(scope="session")
def tiny_bert_folder(tiny_bert, tmp_path_factory):
    """A folder of that BERT, in which the word "w7" is token 7."""
    config = json.loads(str(tiny_bert["config"]))
    tensors = {
        name.removeprefix("tensor_"): value
        for name, value in tiny_bert.items()
        if name.startswith("tensor_")
    }
    words = [f"w{number}" for number in range(2, config["vocab_size"])]
    return write_folder(tmp_path_factory.mktemp("models") / "tiny", config, tensors, words)
