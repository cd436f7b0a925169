"""Questions about stories end to end, on tiny sizes."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from attn_jax.models import MemoryNetwork, StoryBaseline, StoryTransformer
from attn_jax.tasks import QuestionAnswering
from experiments import command, reopen
from experiments.configs.question_answering_two import experiment
from experiments.question_answering import fact_loss, fact_scores
from experiments.truth.ways import raw_attention

TINY = ["--task.train", "32", "--task.validation", "4", "--task.test", "20", "--task.lengths", "8"]
TINY += ["11", "--train.epochs", "1", "--train.batch-size", "16", "--model.features", "6"]
MODELS = {
    "memory": MemoryNetwork(features=16, hops=2),
    "transformer": StoryTransformer(features=16, num_layers=1, num_heads=2, hidden_dim=16),
    "bag": StoryBaseline(kind="bag", features=16),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    runs, name = tmp_path_factory.mktemp("runs"), "question_answering_two"
    assert command.train(name, [*TINY, "--runs", str(runs)]) == 0
    return command.last_run(runs / name)


def test_a_run_has_a_report_a_card_and_the_scores_of_hops(run):
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    names = {f"test/hop_{hop}_fact_{fact}" for hop in (1, 2) for fact in (1, 2)}
    assert names | {"test/facts_found"} <= set(last)
    page = (run / "report.html").read_text()
    assert "Where it looks in a story" in page
    assert "How far can this be believed?" in page


def test_its_evidence_is_the_supporting_facts(run):
    experiment, params = reopen.reopen_experiment(run, "last")
    evidence = experiment.evidence(params).first(5)
    bucket = experiment.task.load()["test"][0]
    for row, truth in enumerate(evidence.truth):
        assert np.flatnonzero(truth).tolist() == sorted(bucket["facts"][row])
    raw = raw_attention(evidence)
    _, weights = experiment.predict(params, {name: array[:5] for name, array in bucket.items()})
    np.testing.assert_allclose(raw, weights.mean(0), atol=1e-6)


def test_a_run_is_not_resumed_on_other_stories(run):
    stored, _ = reopen.reopen_experiment(run, "last")
    other = dataclasses.replace(stored.task, seed=1)
    with pytest.raises(ValueError, match=r"the stories have changed since .* was trained"):
        dataclasses.replace(stored, task=other).check(run)


def test_hops_are_scored_and_supervised_by_the_fact_of_their_number():
    weights = np.array([[[0.25, 0.75], [0.5, 0.5]], [[0.9, 0.1], [1.0, 0.0]]])
    facts = np.array([[1, 0], [-1, 0]])
    scores = fact_scores(weights, facts)
    assert scores["test/hop_1_fact_1"] == 1
    assert scores["test/hop_2_fact_2"] == 1
    assert scores["test/hop_2_fact_1"] == 0
    assert scores["test/facts_found"] == 1
    # The fact of the second story's first hop is not known.
    expected = -(np.log(0.75) + np.log(0.9) + np.log(1.0)) / 3
    np.testing.assert_allclose(
        fact_loss(jnp.asarray(weights), jnp.asarray(facts)), expected, rtol=1e-5
    )


def test_every_fact_needs_a_hop_to_learn_it():
    with pytest.raises(ValueError, match=r"needs a hop for each of the facts.* has 1 for 2"):
        dataclasses.replace(experiment, model=MemoryNetwork(hops=1))


@pytest.mark.parametrize("name", ["memory", "transformer"])
def test_it_learns_one_batch_by_heart(name):
    task = QuestionAnswering(facts=1, train=12, validation=1, test=1, lengths=(6, 8))
    batch = {name: jnp.asarray(array) for name, array in task.load()["train"][0].items()}
    model, optimizer = MODELS[name].clone(**task.sizes), optax.adam(2e-2)
    params = model.init(jax.random.key(0), batch["story"], batch["question"])["params"]

    def objective(params):
        logits = model.apply({"params": params}, batch["story"], batch["question"])
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
        return losses.mean(), logits

    @jax.jit
    def fit(params):
        def step(_, carry):
            params, state = carry
            updates, state = optimizer.update(jax.grad(objective, has_aux=True)(params)[0], state)
            return optax.apply_updates(params, updates), state

        return jax.lax.fori_loop(0, 80, step, (params, optimizer.init(params)))[0]

    assert (objective(fit(params))[1].argmax(-1) == batch["label"]).all()


def test_the_bag_does_not_know_the_order_of_sentences():
    model = MODELS["bag"].clone(vocabulary=13, num_answers=5)
    story = jnp.array([[[4, 5, 6], [7, 8, 9], [10, 11, 0]]])
    question = jnp.array([[12, 4]])
    variables = model.init(jax.random.key(0), story, question)
    logits = model.apply(variables, story, question)
    turned = model.apply(variables, story[:, ::-1, ::-1], question)
    np.testing.assert_allclose(turned, logits, atol=1e-5)
