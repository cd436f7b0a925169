"""Needles in short haystacks, from the command line to the pictures."""

import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import experiments
from attn_jax import nn
from attn_jax.train import read_metrics
from experiments.__main__ import main
from experiments.configs.long_context import experiment

SETTINGS = {
    "--task.length": 61,
    "--task.short-length": 23,
    "--task.questions": 5,
    "--task.num-names": 13,
    "--task.num-values": 7,
    "--task.short-examples": 512,
    "--task.test": 200,
    "--model.features": 32,
    "--train.epochs": 3,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    arguments = [str(word) for pair in SETTINGS.items() for word in pair]
    assert main(["long_context", *arguments, "--runs", str(runs)]) == 0
    (folder,) = Path(runs).glob("long_context/*")
    return folder


def test_it_finds_needles_and_is_at_chance_if_weights_are_equal(run):
    row = read_metrics(run)[-1]
    assert row["test/accuracy"] > 0.98
    # Of 1,000 questions one in seven, or as many as who names the most frequent value has right.
    _, _, task = experiments.load(run)
    counts = [np.bincount(v[:-5], minlength=7) for v in task.load()["test"][0]["value"]]
    counting = np.mean([count.max() / count.sum() for count in counts])
    assert 1 / 7 - 0.045 < row["uniform/accuracy"] < counting + 0.055
    assert [r["epoch"] for r in read_metrics(run) if "uniform/accuracy" in r] == [3]


def test_what_is_kept_of_an_epoch_agrees_with_the_weights(run):
    model, variables, task = experiments.load(run)
    first = {name: array[0] for name, array in task.load()["validation"][0].items()}
    tokens = jnp.asarray(first["name"]), jnp.asarray(first["value"])
    _, seen = nn.apply_with_weights(model, variables, *tokens)
    weights = np.asarray(seen["attention.weights"], np.float64)[0]
    with np.load(run / "summaries" / "0003.npz") as arrays:
        kept = dict(arrays)
    np.testing.assert_allclose(kept["received"][0], weights.sum(0), atol=1e-4)
    np.testing.assert_allclose(kept["asked"][0], weights[-5:].mean(0), atol=1e-5)
    share = [weights[61 - 5 + i, first["needle"][i]] for i in range(5)]
    np.testing.assert_allclose(kept["needle_share"][0], share, atol=1e-5)
    entropy = [-sum(w * np.log(w) for w in row if w > 0) for row in weights]
    np.testing.assert_allclose(kept["entropy"][0], entropy, atol=1e-4)
    row = read_metrics(run)[-1]
    assert row["attention/entropy"] == pytest.approx(np.mean(entropy[-5:]), abs=1e-4)
    assert row["attention/needle_share"] == pytest.approx(np.mean(share), abs=1e-5)


def test_the_report_shows_the_summaries(run):
    index = json.loads((run / "figures" / "index.json").read_text())["figures"]
    assert {entry["name"] for entry in index} == {"summaries", "summary", "viewer", "curves"}
    captions = {entry["name"]: entry["caption"] for entry in index}
    assert f"{read_metrics(run)[-1]['uniform/accuracy']:.2%}" in captions["summaries"]
    page = (run / "report.html").read_text()
    assert page.index("Where it learns to look") < page.index("Learning curves")


def test_a_damaged_summary_is_kept_and_made_again(run, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "run")
    for name in ("0001.npz", "0003.npz"):
        content = (copy / "summaries" / name).read_bytes()
        (copy / "summaries" / name).write_bytes(content[:-30])
    first = [row["step"] for row in read_metrics(run) if row["epoch"] == 1][-1]
    shutil.rmtree(copy / "checkpoints" / str(first))
    assert main(["report", str(copy)]) == 0
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 2
    assert "it is kept as 0001.npz.damaged" in error[0]
    # The first has no checkpoint any more.
    assert sorted(path.name for path in (copy / "summaries").iterdir()) == [
        "0001.npz.damaged",
        "0002.npz",
        "0003.npz",
        "0003.npz.damaged",
    ]
    old, new = (np.load(folder / "summaries" / "0003.npz") for folder in (run, copy))
    with old, new:
        for name in old.files:
            np.testing.assert_array_equal(old[name], new[name])


def test_padding_weighs_nothing_in_the_loss():
    logits = jax.random.normal(jax.random.key(0), (3, 5, 7))
    label = jnp.arange(15).reshape(3, 5) % 7
    _, metrics = experiment.loss(logits, {"label": label, "weight": jnp.array([1.0, 1.0, 0.0])})
    rows = np.asarray(logits, np.float64)[:2].reshape(10, 7)
    losses = [np.log(np.exp(r).sum()) - r[at % 7] for at, r in enumerate(rows)]
    assert float(metrics["loss"][0]) == pytest.approx(sum(losses), rel=1e-5)
    assert float(metrics["loss"][1]) == 10
    right = sum(int(r.argmax() == at % 7) for at, r in enumerate(rows))
    assert float(metrics["accuracy"][0]) == right
    whole, _ = experiment.loss(logits, {"label": label})
    assert float(whole) != pytest.approx(sum(losses) / 10)
