"""Summarizers against loops over words, and writing against teacher forcing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from attn_jax.hooks import capture
from attn_jax.models import BidirectionalEncoder, PointerGenerator, Summarizer, greedy_decode
from attn_jax.models.summaries.decoder import CoverageAttention, CoverageDecoder

VOCABULARY, COPIES = 11, 3
SOURCE = jnp.array([[4, 12, 5, 12, 11], [6, 11, 7, 0, 0]])
TARGET = jnp.array([[7, 12, 5, 2], [11, 2, 0, 0]])
SIZES = {"vocabulary": VOCABULARY, "copies": COPIES, "embedding_dim": 5}
PARTS = {"encoder": BidirectionalEncoder(features=3), "decoder": CoverageDecoder(features=7)}
MODELS = {each.__name__: each(**SIZES, **PARTS) for each in (PointerGenerator, Summarizer)}


@pytest.fixture(scope="module")
def variables():
    """Random parameters, biases too; both models have the same."""
    drawn = jax.jit(MODELS["PointerGenerator"].init)(jax.random.key(0), SOURCE, TARGET)
    leaves, tree = jax.tree.flatten(drawn)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    pairs = zip(leaves, keys, strict=True)
    return jax.tree.unflatten(tree, [x + 0.5 * jax.random.normal(k, x.shape) for x, k in pairs])


def test_attention_with_coverage_is_that_of_the_paper():
    rng = np.random.default_rng(0)
    query, key, value, coverage = (
        rng.normal(size=size).astype(np.float32) for size in ((2, 3), (2, 5, 7), (2, 5, 11), (2, 5))
    )
    exists = np.array([[True] * 5, [True] * 3 + [False] * 2])
    model = CoverageAttention()
    inputs = tuple(map(jnp.asarray, (query, key, value)))
    others = {"coverage": jnp.asarray(coverage), "key_mask": jnp.asarray(exists)}
    drawn = model.init(jax.random.key(0), *inputs, **others)
    drawn["params"]["b"] = jnp.asarray(rng.normal(size=7).astype(np.float32))
    context, weights = model.apply(drawn, *inputs, **others)
    p = jax.tree.map(np.asarray, drawn["params"])
    for n in range(2):
        scores = np.full(5, -np.inf)
        for i in range(5):
            if exists[n, i]:
                hidden = key[n, i] + query[n] @ p["w_query"] + coverage[n, i] * p["w_coverage"][0]
                scores[i] = np.tanh(hidden + p["b"]) @ p["v"]
        expected = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        np.testing.assert_allclose(weights[n], expected, atol=1e-6)
        np.testing.assert_allclose(context[n], expected @ value[n], atol=1e-6)


def test_a_word_is_written_or_copied_from_all_its_places(variables):
    pointer = MODELS["PointerGenerator"]
    run = jax.jit(capture(pointer.apply, pointer.alignment_pattern))
    logits, captured = run(variables, SOURCE, TARGET)
    (weights,) = pointer.name_weights(captured).values()
    probability, weights = np.exp(logits), np.asarray(weights)[:, 0]
    written = scipy.special.softmax(
        jax.jit(MODELS["Summarizer"].apply)(variables, SOURCE, TARGET), -1
    )
    source = SOURCE.tolist()
    for n in range(2):
        for t in range(4):
            # A word that no document has is only ever written: it gives the gate.
            gate = probability[n, t, 9] / written[n, t, 9]
            assert 0 < gate < 1
            for word in range(VOCABULARY + COPIES):
                copied = sum(weights[n, t, i] for i in range(5) if source[n][i] == word)
                known = written[n, t, word] if word < VOCABULARY else 0
                expected = gate * known + (1 - gate) * copied
                assert probability[n, t, word] == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(probability.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_writing_takes_the_same_steps_as_training(variables, name):
    model = MODELS[name]
    write = jax.jit(greedy_decode, static_argnames=("model", "max_length"))
    decoded = write(model=model, variables=variables, source=SOURCE, max_length=4)
    logits = np.array(jax.jit(model.apply)(variables, SOURCE, decoded.tokens))
    logits[..., [0, 1, 3]] = -np.inf
    for n, tokens in enumerate(np.asarray(decoded.tokens)):
        for t, token in enumerate(tokens):
            if token:
                assert logits[n, t].argmax() == token


def test_the_prediction_of_one_word_is_that_of_all(variables):
    model = MODELS["PointerGenerator"]
    word = jnp.array([2, 0])
    one = jax.jit(functools.partial(model.apply, method="predict"))(variables, SOURCE, TARGET, word)
    every = jax.jit(model.apply)(variables, SOURCE, TARGET)
    np.testing.assert_allclose(one, every[jnp.arange(2), word], atol=1e-5)


def test_sizes_must_be_filled_in():
    with pytest.raises(ValueError, match="vocabulary"):
        PointerGenerator().init(jax.random.key(0), SOURCE, TARGET)
