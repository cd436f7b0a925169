"""Bags end to end, on made images in which the digit sought is a white corner."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.models import BagClassifier, PatchStem
from attn_jax.tasks import MnistBags
from attn_jax.tasks.images import IDX_FILES
from experiments import command, reopen
from experiments.configs.mnist_bags import experiment

TASK = ["--task.train", "150", "--task.validation", "20", "--task.test", "60"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a small model on bags of images that are noise, of nines with a white corner."""
    folder, monkeypatch = tmp_path_factory.mktemp("idx"), pytest.MonkeyPatch()
    rng = np.random.default_rng(0)
    for split, count in (("train", 5300), ("test", 200)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = rng.integers(0, 60, (count, 28, 28), np.uint8)
        images[labels == 9, :9, :9] = 255
        for kind, array in (("images", images), ("labels", labels)):
            sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
            content = bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()
            (folder / IDX_FILES[f"{split}_{kind}"]).write_bytes(content)
    monkeypatch.setattr("attn_jax.tasks.bags.Mnist", _of_any_images)
    runs = tmp_path_factory.mktemp("runs")
    options = [*TASK, "--task.folder", str(folder), "--train.epochs", "4", "--runs", str(runs)]
    assert command.train("mnist_bags", [*options, "--train.learning-rate", "3e-3"]) == 0
    yield command.last_run(runs / "mnist_bags")
    monkeypatch.undo()


def _of_any_images(folder):
    from attn_jax.tasks import Mnist

    return Mnist(dataset="made", folder=folder)


def test_attention_finds_what_was_never_labelled(run):
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["test/bag_auc"] > 0.99
    assert last["test/instance_auc"] > 0.99
    page = (run / "report.html").read_text()
    assert "Where it looks in a bag" in page
    assert "How far can this be believed?" in page
    assert json.loads((run / "card.json").read_text())["lines"]


def test_areas_are_those_of_what_it_looks_at(run):
    model, variables, task = reopen.reopen(run, "last")
    bags = task.load()["test"][0]
    batch = task.prepare(bags)
    logits, weights = experiment.predict(variables["params"], bags)
    np.testing.assert_allclose(
        logits, model.apply(variables, batch["image"], batch["present"]), atol=1e-5
    )
    assert weights.shape == bags["present"].shape
    assert (weights[~bags["present"]] == 0).all()


def test_a_small_model_has_the_shapes_of_the_task():
    model = BagClassifier(stem=PatchStem((2,), (5,), (9,)), features=3).clone(**MnistBags().sizes)
    shape = jax.eval_shape(
        lambda: model.init_with_output(
            jax.random.key(0), jnp.zeros((7, 5, 28, 28)), jnp.ones((7, 5), bool)
        )[0]
    )
    assert shape.shape == (7, 2)
