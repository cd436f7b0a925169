"""Keeps the paths that tests name apart from the user's own; writes tiny images and checkpoints.

What several tests of this folder need is compiled once: a command that is called again compiles
the same programs.
"""

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))

from compilations import reused
from pretrained_folder import golden_arrays, golden_config, write_golden


@pytest.fixture(scope="session", autouse=True)
def known_paths(tmp_path_factory):
    """An empty list of known paths, which all tests of a worker share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="package", autouse=True)
def compilations(tmp_path_factory):
    """A cache of compilations for this folder."""
    with reused(tmp_path_factory.mktemp("compilations")):
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


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Ten classes, each a bright bar at a height of its own in noise."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("images")
    for part, count in (("train", 400), ("t10k", 100)):
        labels = np.arange(count) % 10
        pictures = rng.integers(0, 40, (count, 28, 28))
        for picture, label in zip(pictures, labels, strict=True):
            picture[4 + 2 * label, 4:24] = 255
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", pictures)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)
    return folder


@pytest.fixture(scope="module")
def arguments(images, tmp_path_factory):
    task = ["--task.dataset", "bars", "--task.folder", str(images), "--task.validation", "80"]
    train = ["--train.batch-size", "32", "--train.log-every", "5", "--train.steps-per-call", "5"]
    return [*task, *train, "--runs", str(tmp_path_factory.mktemp("runs"))]
