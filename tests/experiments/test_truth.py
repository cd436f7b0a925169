"""The measurements of `make truth`, against values by hand, and its results and table."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.hooks import tap
from experiments.seeds import jobs, results, runs
from experiments.seeds.page import END
from experiments.truth import Evidence, __main__, table
from experiments.truth.measuring import measured, scores
from experiments.truth.tasks import tasks
from experiments.truth.ways import WAYS, maps

WEIGHTS = np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]], np.float32)
# The third key says most for class 1, the first most against it.
SAYS = jnp.array([-1.0, 0.0, 3.0])


def pooled(inputs):
    weights = tap("pool.weights", inputs)
    logit = (weights * SAYS[None]).sum(-1)
    return jnp.stack([jnp.zeros_like(logit), logit], axis=-1)


EVIDENCE = Evidence(
    fn=pooled,
    inputs=jnp.asarray(WEIGHTS),
    target=np.array([1, 1]),
    truth=np.array([[False, False, True], [False, False, True]]),
    attention="pool.weights",
)


def test_every_way_of_asking_about_one_attention_gives_what_follows_by_hand():
    found = maps(EVIDENCE)
    assert set(found) == set(WAYS) - {"rollout", "flow"}
    np.testing.assert_allclose(found["raw attention"], WEIGHTS)
    # The logits are less than a margin of one, so they are not scaled.
    logit = (WEIGHTS * np.array([-1, 0, 3])).sum(-1)
    chance = 1 / (1 + np.exp(-logit))
    slope = (chance * (1 - chance))[:, None]
    scale = max(np.median(logit), 1)
    if scale > 1:
        chance = 1 / (1 + np.exp(-logit / scale))
        slope = (chance * (1 - chance))[:, None] / scale
    contribution = WEIGHTS * np.array([-1, 0, 3])
    np.testing.assert_allclose(found["gradient × attention"], slope * contribution, rtol=1e-5)
    # The target's centered logit is half the difference of the two.
    np.testing.assert_allclose(
        found["Chefer's relevance"], np.maximum(contribution, 0) / 2, rtol=1e-6
    )
    np.testing.assert_allclose(found["integrated gradients"].sum(-1), chance - 0.5, atol=1e-4)
    rest = 1 - WEIGHTS
    without = (logit[:, None] - contribution) / rest / scale
    fall = chance[:, None] - 1 / (1 + np.exp(-without))
    np.testing.assert_allclose(found["leave-one-out"], fall, atol=1e-6)


def test_where_the_truth_is_not_known_the_card_alone_judges(tmp_path):
    count = 24
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), count).astype(np.float32)[:, None]
    mask = np.ones((count, 3), bool)
    known = {"fn": lambda inputs: pooled(inputs[:, 0]), "attention": "pool.weights"}
    evidence = Evidence(
        inputs=jnp.asarray(weights), target=np.ones(count, int), truth=None, mask=mask, **known
    )
    result = measured(evidence)
    assert set(result) == {"examples", "keys", "card"}
    assert (result["examples"], result["keys"]) == (24, 3)
    stored = {"seed": 0, "commit": "c", "metrics": {"test/loss": 0.5}, **result}
    drawn = table.tables({"guessing": [stored]})
    assert "not known, of 3" in drawn

    def refuse(inputs, keep, others):
        raise RuntimeError("resampled")

    with pytest.raises(RuntimeError, match="resampled"):
        measured(dataclasses.replace(evidence, resample=refuse))
    assert drawn.count("`guessing`") == 1
    with pytest.raises(ValueError, match="mask must say which keys exist"):
        Evidence(inputs=weights, target=np.ones(count, int), truth=None, **known)


def test_layers_are_followed_from_the_query_that_is_read():
    layer = np.array([[[[0.5, 0.5], [0.25, 0.75]]]], np.float32)

    def fn(inputs):
        weights = tap("layers.weights", inputs)
        return jnp.stack([weights[:, 0, 0, 0], weights[:, 0, 0, 1]], axis=-1)

    evidence = Evidence(
        fn=fn,
        inputs=jnp.asarray(layer),
        target=np.array([1]),
        truth=np.array([[False, True]]),
        attention="layers.weights",
        query=0,
        layers=("layers.weights",),
    )
    found = maps(evidence)
    np.testing.assert_allclose(found["raw attention"], [[0.5, 0.5]])
    np.testing.assert_allclose(found["rollout"], [[0.75, 0.25]])
    # One layer of flow is that layer, mixed with the residual.
    np.testing.assert_allclose(found["flow"], [[0.75, 0.25]])
    # R = I + (gradient × attention)+; the centered logit's gradient is ±1/2.
    np.testing.assert_allclose(found["Chefer's relevance"], [[1.0, 0.25]])


def test_scores_leave_keys_out_that_do_not_exist():
    values = np.array([[0.1, 0.3, 0.6, 9.0]])
    truth = np.array([[False, True, True, False]])
    exists = np.array([[True, True, True, False]])
    found = scores(np.where(exists, values, 0), truth, exists)
    assert found == pytest.approx({"pointing": 1, "mass": 0.9, "precision": 1})
    tied = scores(np.zeros((1, 4)), truth, exists)
    assert tied["pointing"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target": np.array([1])}, r"truth has shape \(2, 3\) and target \(1,\)"),
        ({"mask": np.ones((2, 2), bool)}, r"mask has shape \(2, 2\), but truth \(2, 3\)"),
        ({"truth": np.zeros((2, 3), bool)}, "2 of 2 examples have no truth, and 0 keys"),
        ({"mask": np.array([[True, True, False]] * 2)}, "0 of 2 .* and 2 keys of the truth do not"),
    ],
)
def test_refuses_evidence_that_does_not_fit(changes, said):
    fields = {"inputs": EVIDENCE.inputs, "target": EVIDENCE.target, "truth": EVIDENCE.truth}
    with pytest.raises(ValueError, match=said):
        Evidence(**{"fn": pooled, "attention": "pool.weights", **fields, **changes})


def result(pointing, reads="supports"):
    ways = {"raw attention": pointing, "leave-one-out": 1.0}
    each = {way: {"pointing": x, "mass": x / 2, "precision": x} for way, x in ways.items()}
    facts = {"metrics": {"test/accuracy": 0.99}, "keys": 12.0, "truth": 1.0, "chance": 1 / 12}
    return facts | {"ways": each, "card": {"reads": reads}}


def test_results_are_stamped_and_drawn_into_the_page(tmp_path):
    for seed, pointing in enumerate((0.5, 0.6, 0.7)):
        results.write("some_task", seed, result(pointing), tmp_path)
    (tmp_path / "broken-0.json").write_text("{")
    stored = results.read(tmp_path)
    assert [each["seed"] for each in stored["some_task"]] == [0, 1, 2]
    assert stored["some_task"][0]["commit"] == results.commit()
    page = tmp_path / "truth.md"
    page.write_text(f"before\n{table._BEGIN}\nold\n{END}\nafter\n")
    table.write_table(stored, page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    # The Student interval of three numbers with a standard deviation of 0.1: 4.303 × 0.1 / √3.
    assert "0.60 (0.35–0.85)" in text
    assert "**1.00 (1.00–1.00)**" in text
    assert "supports, supports, supports" in text
    page.write_text("no marks")
    with pytest.raises(ValueError, match=r"must hold .* once"):
        table.write_table(stored, page)


def test_a_notebook_shows_some_tasks_between_its_marks(tmp_path):
    for task, value in (("some_task", 0.25), ("other_task", 0.75), ("third_task", 0.5)):
        results.write(task, 0, result(value), tmp_path)
    page, plain = tmp_path / "images.md", tmp_path / "plain.md"
    mark = "<!-- drawn by python -m experiments.truth table, for other_task some_task -->"
    page.write_text(f"before\n\n{mark}\nold\n{END}\n\nafter\n")
    plain.write_text("before\n")
    table.write_short_tables(results.read(tmp_path), [page, plain])
    lines = page.read_text().splitlines()
    assert (lines[:4], lines[-4:]) == (["before", "", mark, ""], ["", END, "", "after"])
    header, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[4:-4]]
    assert header[:4] == ["task", "score", "the card reads", "chance"]
    assert "flow" not in header
    assert [row[0] for row in rows] == ["`other_task`", "`some_task`"]
    assert "0.75" in " ".join(rows[0])
    assert plain.read_text() == "before\n"
    before = page.read_text()
    table.write_short_tables(results.read(tmp_path), [page])
    assert page.read_text() == before


def test_the_notebooks_show_the_results_of_today(tmp_path):
    known = results.read(__main__.RESULTS)
    for page in sorted(table.NOTEBOOKS.glob("*.md")):
        copy = tmp_path / page.name
        copy.write_bytes(page.read_bytes())
        table.write_short_tables(known, [copy])
        assert copy.read_bytes() == page.read_bytes()


def test_a_result_is_measured_again_unless_the_commit_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "commit", lambda: "0123456789")
    results.write("some_task", 0, result(0.5), tmp_path)
    assert results.is_current("some_task", 0, tmp_path)
    assert not results.is_current("some_task", 1, tmp_path)
    monkeypatch.setattr(results, "commit", lambda: "0123456789+")
    assert not results.is_current("some_task", 0, tmp_path)


def test_a_failing_task_does_not_cost_the_others(monkeypatch, capsys):
    names, ran = ["one", "two", "known"], []

    def run(words, check):
        ran.append(words[words.index("--tasks") + 1])
        return type("Done", (), {"returncode": int(ran[-1] == "one")})

    monkeypatch.setattr(jobs.subprocess, "run", run)
    has = lambda name, seed: "measured" if name == "known" else ""  # noqa: E731
    assert jobs.run_all("experiments.truth", "--tasks", [(name, 0) for name in names], has) == 1
    assert ran == names[:2]
    output = capsys.readouterr()
    assert "1/3: one, seed 0: failed" in output.err
    assert "3/3: known, seed 0: measured" in output.out


def test_only_tasks_with_a_known_truth_are_measured():
    known = tasks()
    assert {"mnist_bags", "planted_evidence_lstm", "planted_evidence_transformer"} <= set(known)
    assert "mnist_dot" not in known
    with pytest.raises(SystemExit, match="the truth of 'mnist_dot' is not known; it is for"):
        __main__.main(["--tasks", "mnist_dot"])


def test_a_run_with_other_settings_or_unfinished_is_not_taken(tmp_path, monkeypatch):
    trained = []

    def train(name, arguments):
        trained.append(arguments)
        return 1

    monkeypatch.setattr(runs, "train", train)
    with pytest.raises(RuntimeError, match="training mnist_bags with seed 3 ended with code 1"):
        runs.finished_run("mnist_bags", 3, tmp_path)
    run = tmp_path / "seed-3" / "mnist_bags" / "20260101-000000"
    run.mkdir(parents=True)
    (run / "command.json").write_text(json.dumps({"experiment": "mnist_bags", "model": {}}))
    with pytest.raises(RuntimeError):
        runs.finished_run("mnist_bags", 3, tmp_path)
    where = ["--runs", str(tmp_path / "seed-3")]
    assert trained == [["--train.seed", "3", *where]] * 2


def test_maps_are_made_for_a_query_of_each_example():
    rows = jax.nn.softmax(jax.random.normal(jax.random.key(0), (3, 5, 7)))

    def fn(inputs):
        weights, query = tap("look.weights", inputs[0]), inputs[1]
        return jnp.take_along_axis(weights, query[:, None, None], 1)[:, 0, :2]

    query = np.array([4, 0, 2])
    evidence = Evidence(
        fn=fn,
        inputs=(rows, jnp.asarray(query)),
        target=np.array([0, 1, 0]),
        truth=np.eye(7, dtype=bool)[:3],
        attention="look.weights",
        query=query,
    )
    found = maps(evidence)["raw attention"]
    np.testing.assert_allclose(found, np.asarray(rows)[np.arange(3), query], rtol=1e-6)
