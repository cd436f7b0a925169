import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.train import LazyLogits, classification_loss, lazy_logits, sequence_loss

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


TOKENS = RNG.normal(size=(3, 5, 7)).astype(np.float32)
# The second sentence is what the logits say; the last has one token.
TARGET = RNG.integers(1, 7, (3, 5)).astype(np.int32)
TARGET[1] = 1 + TOKENS[1, :, 1:].argmax(-1)
TOKENS[1, :, 0] = -9.0
TARGET[0, 3:] = TARGET[1, 4:] = TARGET[2, 1:] = 0


def loop_over_tokens(weights, smoothing):
    objective = loss = correct = tokens = exact = 0.0
    for sentence, target, weight in zip(TOKENS.astype(float), TARGET, weights, strict=True):
        wrong = 0
        for logits, label in zip(sentence, target, strict=True):
            if label == 0:
                continue
            log_probs = logits - np.log(sum(np.exp(x) for x in logits))
            loss -= weight * log_probs[label]
            for c in range(7):
                share = smoothing / 7 + (1 - smoothing) * (c == label)
                objective -= weight * share * log_probs[c]
            wrong += int(np.argmax(logits)) != label
            correct += weight * (int(np.argmax(logits)) == label)
            tokens += weight
        exact += weight * (wrong == 0)
    return objective / tokens, (loss, tokens), (correct, tokens), (exact, sum(weights))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, np.array([0, 1, 1], np.float32)])
def test_sequences_by_loops_over_their_tokens(weights, smoothing):
    batch = {"target": jnp.asarray(TARGET)}
    if weights is not None:
        batch["weight"] = jnp.asarray(weights)
    objective, metrics = sequence_loss(jnp.asarray(TOKENS), batch, label_smoothing=smoothing)
    expected, *sums = loop_over_tokens(np.ones(3) if weights is None else weights, smoothing)
    np.testing.assert_allclose(objective, expected, rtol=1e-6)
    for name, pair in zip(("loss", "accuracy", "exact"), sums, strict=True):
        np.testing.assert_allclose(metrics[name], pair, rtol=1e-6)
    assert metrics["exact"][0] >= 1


def test_targets_that_do_not_fit_the_logits_are_refused():
    batch = {"target": jnp.zeros((3, 4), jnp.int32)}
    with pytest.raises(ValueError, match=r"outputs \(3, 5, 7\) need targets \(3, 5\), .*\(3, 4\)"):
        sequence_loss(jnp.asarray(TOKENS), batch)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("at_once", [1, 3 * 7 * 2, 10**6])
def test_lazy_logits_give_the_same_a_few_tokens_at_a_time(at_once, smoothing, monkeypatch):
    monkeypatch.setattr(lazy_logits, "_MAX_LOGITS", at_once)
    rng = np.random.default_rng(1)
    features, kernel, bias = (
        jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((3, 5, 2), (2, 7), (7,))
    )
    batch = {"target": jnp.asarray(TARGET), "weight": jnp.array([1.0, 0.0, 1.0])}

    def at_once_and_lazily(compute):
        def judge(*arrays):
            logits = LazyLogits(*arrays)
            given = jnp.einsum("ntd,dv->ntv", *arrays[:2]) + arrays[2] if compute else logits
            objective, metrics = sequence_loss(given, batch, label_smoothing=smoothing)
            return 3 * objective, metrics

        run = jax.value_and_grad(judge, argnums=(0, 1, 2), has_aux=True)
        return jax.jit(run)(features, kernel, bias.reshape(7))

    with jax.numpy_rank_promotion("allow"):
        expected = at_once_and_lazily(True)
    found = at_once_and_lazily(False)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), found, expected
    )


def test_lazy_logits_of_padding_are_left_out(monkeypatch):
    monkeypatch.setattr(lazy_logits, "_MAX_LOGITS", 1)
    rng = np.random.default_rng(2)
    real = np.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 0]] * 4, bool)
    target = np.where(real, rng.integers(1, 7, real.shape), 0)
    features = rng.normal(size=(*real.shape, 2)).astype(np.float32)

    def judge(padding):
        filled = np.where(real[..., None], features, np.float32(padding))
        logits = LazyLogits(jnp.asarray(filled), jnp.ones((2, 7)), jnp.arange(7.0))
        judge = jax.value_and_grad(sequence_loss, has_aux=True)
        return jax.jit(judge)(logits, {"target": jnp.asarray(target)})

    jax.tree.map(np.testing.assert_array_equal, judge(np.nan), judge(0.0))


def test_lazy_logits_never_hold_all_logits():
    logits = LazyLogits(jnp.ones((8, 64, 4)), jnp.ones((4, 10_000)), jnp.zeros(10_000))
    batch = {"target": jnp.ones((8, 64), jnp.int32)}
    loss = jax.jit(jax.grad(lambda logits: sequence_loss(logits, batch)[0]))
    memory = loss.lower(logits).compile().memory_analysis()
    # In float32 all of them are 20 MB.
    assert memory.temp_size_in_bytes < 15e6


def test_the_first_of_equal_logits_is_the_likeliest():
    batch = {"target": jnp.array([[0, 1, 2]])}
    _, metrics = sequence_loss(jnp.zeros((1, 3, 4)), batch, pad=-1)
    assert tuple(map(int, metrics["accuracy"])) == (1, 3)


def test_logits_that_are_no_numbers_are_never_right():
    _, metrics = sequence_loss(jnp.full((1, 3, 4), jnp.nan), {"target": jnp.array([[1, 2, 3]])})
    assert tuple(map(int, metrics["accuracy"])) == (0, 3)
