"""Texts with planted evidence end to end, on tiny sizes: trained, drawn, reopened and measured."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from attn_jax.models import BidirectionalEncoder, RecurrentClassifier, TransformerClassifier
from attn_jax.tasks import PlantedEvidence
from experiments import command, load, reopen
from experiments.truth.ways import WAYS, maps

TINY = ["--task.train", "64", "--task.validation", "8", "--task.test", "24", "--task.clauses", "2"]
TINY += ["3", "--train.epochs", "1", "--train.batch-size", "16"]
TINY += ["--model.features", "8", "--model.num-heads", "2", "--model.hidden-dim", "11"]
MODELS = {
    "lstm": RecurrentClassifier(
        embedding_dim=16, encoder=BidirectionalEncoder(features=16), dropout_rate=0.0
    ),
    "transformer": TransformerClassifier(features=16, num_layers=1, num_heads=2, hidden_dim=16),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    runs, name = tmp_path_factory.mktemp("runs"), "planted_evidence_transformer"
    assert command.train(name, [*TINY, "--runs", str(runs)]) == 0
    return command.last_run(runs / name)


def test_a_run_has_a_report_a_card_and_scores(run):
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0 <= last["test/pointing"] <= 1
    assert 0 < last["test/mass"] < 1
    page = (run / "report.html").read_text()
    assert "Where it looks in a text" in page
    assert "How far can this be believed?" in page
    model, variables, task = load(run)
    tokens = jnp.asarray(task.load()["test"][0]["tokens"])
    assert model.apply(variables, tokens).shape == (24, 2)


def test_its_evidence_is_asked_for_in_every_way(run):
    experiment, params = reopen.reopen_experiment(run, "last")
    evidence = experiment.evidence(params).first(4)
    assert [np.flatnonzero(row).tolist() for row in evidence.truth] == [
        [place + 1 for place in text.evidence] for text in experiment.task.texts("test")[:4]
    ]
    asked = maps(evidence)
    assert set(asked) == set(WAYS)
    for values in asked.values():
        assert values.shape == evidence.truth.shape
        assert (values[~evidence.exists] == 0).all()


def test_a_run_is_not_resumed_on_other_texts(run):
    experiment, _ = reopen.reopen_experiment(run, "last")
    stored = json.loads((run / "texts.json").read_text())
    assert stored["texts"] == experiment._digest()
    other = PlantedEvidence(train=64, validation=8, test=24, clauses=(2, 3), seed=1)
    with pytest.raises(ValueError, match=r"the texts have changed since .* was trained"):
        type(experiment)(experiment.model, other, experiment.train).check(run)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_it_learns_one_batch_by_heart(name):
    task = PlantedEvidence(train=16, validation=1, test=1, clauses=(2, 2))
    batch = task.load()["train"][0]
    tokens, label = jnp.asarray(batch["tokens"]), jnp.asarray(batch["label"])
    model, optimizer = MODELS[name].clone(**task.sizes), optax.adam(1e-2)
    params = model.init(jax.random.key(0), tokens)["params"]

    def objective(params):
        logits = model.apply({"params": params}, tokens)
        return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean(), logits

    @jax.jit
    def fit(params):
        def step(_, carry):
            params, state = carry
            updates, state = optimizer.update(jax.grad(objective, has_aux=True)(params)[0], state)
            return optax.apply_updates(params, updates), state

        return jax.lax.fori_loop(0, 60, step, (params, optimizer.init(params)))[0]

    assert (objective(fit(params))[1].argmax(-1) == label).all()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_padding_changes_nothing(name):
    model = MODELS[name].clone(vocabulary=13, num_classes=3)
    tokens = jnp.array([[4, 5, 6, 7, 8], [9, 10, 11, 12, 4]])
    variables = model.init(jax.random.key(0), tokens)
    padded = jnp.pad(tokens, ((0, 0), (0, 3)))
    np.testing.assert_allclose(
        model.apply(variables, padded), model.apply(variables, tokens), atol=1e-6
    )
