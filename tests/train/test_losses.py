import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.train import classification_loss

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(7, 3)).astype(np.float32)
LABELS = RNG.integers(0, 3, 7).astype(np.int32)
WEIGHTS = np.array([1, 0, 1, 1, 0, 1, 0], np.float32)


def reference(weights, smoothing):
    objective = loss = correct = 0.0
    for logits, label, weight in zip(LOGITS.astype(float), LABELS, weights, strict=True):
        log_probs = logits - np.log(sum(np.exp(x) for x in logits))
        loss -= weight * log_probs[label]
        correct += weight * (int(np.argmax(logits)) == label)
        for c in range(3):
            target = smoothing / 3 + (1 - smoothing) * (c == label)
            objective -= weight * target * log_probs[c]
    return objective / sum(weights), loss, correct


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_by_loops_over_examples_and_classes(weights, smoothing):
    batch = {"label": jnp.asarray(LABELS)}
    if weights is not None:
        batch["weight"] = jnp.asarray(weights)
    objective, metrics = classification_loss(jnp.asarray(LOGITS), batch, label_smoothing=smoothing)
    weights = np.ones(7) if weights is None else weights
    expected, loss, correct = reference(weights, smoothing)
    np.testing.assert_allclose(objective, expected, rtol=1e-6)
    np.testing.assert_allclose(metrics["loss"], (loss, weights.sum()), rtol=1e-6)
    np.testing.assert_allclose(metrics["accuracy"], (correct, weights.sum()))


def test_parts_add_up_to_the_whole():
    whole = classification_loss(jnp.asarray(LOGITS), {"label": jnp.asarray(LABELS)})[1]
    halves = [
        classification_loss(jnp.asarray(LOGITS[part]), {"label": jnp.asarray(LABELS[part])})[1]
        for part in (slice(0, 2), slice(2, 7))
    ]
    jax.tree.map(lambda w, a, b: np.testing.assert_allclose(a + b, w, rtol=1e-6), whole, *halves)


def test_nothing_but_padding_is_zero_and_not_nan():
    batch = {"label": jnp.asarray(LABELS), "weight": jnp.zeros(7)}
    objective, _ = classification_loss(jnp.asarray(LOGITS), batch)
    assert objective == 0


def test_labels_that_do_not_fit_the_logits_are_refused():
    with pytest.raises(ValueError, match=r"outputs \(7, 3\) need labels \(7,\), .* is \(5,\)"):
        classification_loss(jnp.asarray(LOGITS), {"label": jnp.asarray(LABELS[:5])})
