"""Experiments without attention end to end, on tiny sizes."""

import jax.numpy as jnp
import pytest

from attn_jax.train import read_metrics
from experiments import command, load
from experiments.translate import main as translate

TINY = ["--task.name", "reverse", "--task.train", "96", "--task.validation", "8"]
TINY += ["--task.test", "11", "--model.embedding-dim", "7", "--model.encoder.features", "5"]
TINY += ["--model.decoder.features", "6", "--train.batch-size", "32", "--train.epochs", "1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    assert command.train("translation_fixed", [*TINY, "--runs", str(runs)]) == 0
    return command.last_run(runs / "translation_fixed")


def test_a_translator_without_attention_is_scored_and_reopened(run):
    last = read_metrics(run)[-1]
    assert 0 <= last["greedy/exact"] <= 1
    assert not any("aer" in name for name in last)
    assert "What it gets wrong" in (run / "report.html").read_text()
    model, variables, task = load(run)
    source = jnp.asarray(task.load()["test"][0]["source"])
    assert model.apply(variables, source, source).shape[:2] == source.shape


def test_it_has_no_alignment_to_show(run, capsys):
    assert translate([str(run), "abc"]) == 1
    assert "FixedVectorTranslator, which has no attention" in capsys.readouterr().err
