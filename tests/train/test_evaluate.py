import jax
import numpy as np
import pytest
import tiny

from attn_jax.train import classification_loss, data_mesh, make_evaluate

TASK = tiny.Tiny(train=(4,), validation=(13, 0, 6), test=(4, 3))
SPLITS = TASK.load()


@pytest.fixture(scope="module")
def params():
    return tiny.init(jax.random.key(1), TASK.prepare(SPLITS["train"][0]))


def reference(params, buckets):
    """Every example alone, in float64."""
    losses, correct = [], []
    for bucket in buckets:
        for points, label in zip(bucket["points"], bucket["label"], strict=True):
            hidden = np.tanh((points / 128.0 - 1).mean(0) @ np.asarray(params["inner"]["kernel"]))
            logits = (hidden + params["inner"]["bias"]) @ np.asarray(params["outer"]["kernel"])
            losses.append(np.log(np.exp(logits).sum()) - logits[label])
            correct.append(np.argmax(logits) == label)
    return np.mean(losses), np.mean(correct)


@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize("batches_per_call", [1, 3])
def test_every_example_counts_exactly_once(params, devices, batches_per_call):
    evaluate = make_evaluate(
        tiny.apply,
        classification_loss,
        TASK.prepare,
        {name: SPLITS[name] for name in ("validation", "test")},
        data_mesh(jax.devices()[:devices]),
        batch_size=4,
        batches_per_call=batches_per_call,
    )
    metrics = evaluate(params)
    assert len(metrics) == 4
    for split in ("validation", "test"):
        loss, accuracy = reference(params, SPLITS[split])
        assert metrics[f"{split}/accuracy"] == accuracy
        np.testing.assert_allclose(metrics[f"{split}/loss"], loss, rtol=1e-5)


def test_several_buckets_of_one_shape_all_count(params):
    twice = [*SPLITS["validation"][:1], *SPLITS["test"][:1]]
    evaluate = make_evaluate(
        tiny.apply,
        classification_loss,
        TASK.prepare,
        {"validation": twice, "test": SPLITS["train"]},
        data_mesh(jax.devices()[:1]),
        batch_size=5,
    )
    metrics = evaluate(params)
    for split, buckets in {"validation": twice, "test": SPLITS["train"]}.items():
        assert metrics[f"{split}/accuracy"] == reference(params, buckets)[1]


def test_a_split_without_examples_has_no_metrics(params):
    empty = {"validation": [], "test": tiny.Tiny(test=(0,)).load()["test"]}
    mesh = data_mesh(jax.devices()[:1])
    evaluate = make_evaluate(
        tiny.apply, classification_loss, TASK.prepare, empty, mesh, batch_size=4
    )
    assert evaluate(params) == {}
