"""Keeps the paths that tests name apart from the user's own, and writes a tiny checkpoint."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))

from pretrained_folder import golden_arrays, golden_config, write_golden


@pytest.fixture(scope="session", autouse=True)
def known_paths(tmp_path_factory):
    """An empty list of known paths, which all tests of a worker share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def tiny_bert():
    """What transformers made of a random BERT: its arguments, and the expected values."""
    return golden_arrays("bert", "input") | golden_arrays("bert", "expected")


@pytest.fixture(scope="session")
def tiny_bert_folder(tmp_path_factory):
    """A folder of that BERT, in which the word "w7" is token 7."""
    return write_golden("bert", tmp_path_factory.mktemp("models"), words=numbered_words("bert"))


@pytest.fixture(scope="session")
def tiny_llama_folder(tmp_path_factory):
    """A folder of a random Llama, in which the word "w7" is token 7."""
    return write_golden("llama", tmp_path_factory.mktemp("models"), words=numbered_words("llama"))


def numbered_words(name):
    return [f"w{number}" for number in range(2, golden_config(name)["vocab_size"])]
