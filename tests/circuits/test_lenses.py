"""Lenses: against the end of the model written out, and a linear map that can be recovered."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from models import FIRST, VOCABULARY, model, random_weights

from attn_jax import circuits
from attn_jax.circuits import logit_lens, tuned_lens
from attn_jax.hooks import HookError, capture, freed, tap

WEIGHTS = random_weights(layers=3, mlp_dim=6)
METRIC = circuits.logit_difference(3, 5)
TOKENS = jnp.array([[FIRST, 3, 7, 1, 3], [FIRST, 2, 2, 5, 8]])


@pytest.fixture(scope="module")
def fn():
    return model(WEIGHTS, normalizes=True)


@pytest.fixture(scope="module")
def expected(fn):
    """The logits of each layer, by the last normalization and projection in NumPy."""
    _, values = capture(fn, "*.residual_out")(TOKENS)
    streams = np.stack([values[f"layers.{i}.residual_out"] for i in range(3)])
    size = np.sqrt(np.square(streams).mean(-1, keepdims=True) + 1e-5)
    return streams / size @ WEIGHTS.unembedding


def test_it_is_the_end_of_the_model_on_each_layer(fn, expected):
    lens = logit_lens(fn, TOKENS)
    assert lens.axes == ("layer", "batch", "position", "vocabulary")
    assert lens.names == tuple(f"layers.{i}.residual_out" for i in range(3))
    np.testing.assert_allclose(lens.values, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(lens.values[-1], fn(TOKENS), rtol=1e-5, atol=1e-5)


def test_other_residual_streams(fn, expected):
    lens = logit_lens(fn, TOKENS, residuals=["embedding", "*.residual_out"])
    assert lens.names[0] == "embedding"
    np.testing.assert_allclose(lens.values[1:], expected, rtol=1e-4, atol=1e-5)


def test_what_is_wanted_of_each_layer(fn, expected):
    lens = logit_lens(fn, TOKENS, reduce=lambda logits: logits.argmax(-1))
    assert lens.axes == ("layer", "batch", "position")
    np.testing.assert_array_equal(lens.values, expected.argmax(-1))


def test_under_jit(fn, expected):
    lens = jax.jit(lambda tokens: logit_lens(fn, tokens))(TOKENS)
    np.testing.assert_allclose(lens.values, expected, rtol=1e-4, atol=1e-5)


def scanned(tokens):
    """Layers in a scan, each of which adds its vector."""
    vectors = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), jnp.float32)

    def layer(x, vector):
        return tap("layers.residual_out", x + jnp.broadcast_to(vector, x.shape)), None

    x, _ = jax.lax.scan(layer, jnp.ones((*tokens.shape, 4)), vectors)
    return 2 * x


def test_scanned_layers():
    lens = logit_lens(scanned, TOKENS, residuals="*residual_out")
    vectors = np.random.default_rng(0).normal(size=(3, 4))
    expected = 2 * (1 + np.cumsum(vectors, 0))
    np.testing.assert_allclose(lens.values[:, 0, 0], expected, rtol=1e-5)


MAP = np.array([[0.5, -0.3], [0.2, 0.4]], np.float32)
BIAS = np.array([0.3, -0.6], np.float32)
UNEMBEDDING = jnp.array([[1.0, 0.0, -1.0], [0.0, 1.0, -1.0]])


def linear(x):
    """The second layer is an affine map of the first, and the logits are linear."""
    x = tap("layers.0.residual_out", x)
    step = x @ jnp.asarray(MAP) + jnp.broadcast_to(jnp.asarray(BIAS), x.shape)
    return tap("layers.1.residual_out", x + step) @ UNEMBEDDING


def batches(steps, n=64):
    for rng in jax.random.split(jax.random.key(0), steps):
        yield 2 * jax.random.normal(rng, (n, 1, 2))


@pytest.fixture(scope="module")
def lens():
    schedule = optax.cosine_decay_schedule(0.05, 300)
    return tuned_lens(linear, batches(300), optimizer=optax.adam(schedule))


def test_a_linear_layer_is_recovered(lens):
    """Logits determine the two features up to a constant, which the third logit excludes."""
    np.testing.assert_allclose(lens.weights[0], MAP, atol=1e-3)
    np.testing.assert_allclose(lens.biases[0], BIAS, atol=1e-3)
    assert lens.losses.shape == (300, 2)
    assert lens.losses[-1, 0] < 1e-5 < 0.05 < lens.losses[0, 0]


def test_the_map_of_the_last_layer_stays_the_identity(lens):
    np.testing.assert_allclose(lens.weights[1], 0, atol=1e-5)
    np.testing.assert_allclose(lens.biases[1], 0, atol=1e-5)


def test_a_tuned_lens_predicts_as_the_model(lens):
    x = next(batches(1))
    read = logit_lens(linear, x, lens=lens)
    bare = logit_lens(linear, x)
    np.testing.assert_allclose(read.values[0], linear(x), atol=2e-2)
    assert np.abs(bare.values[0] - linear(x)).max() > 0.5


def test_training_starts_as_the_logit_lens(fn):
    lens = tuned_lens(fn, [TOKENS])
    read = jax.nn.log_softmax(logit_lens(fn, TOKENS).values)
    expected = (jnp.exp(read[-1:]) * (read[-1:] - read)).sum(-1).mean((1, 2))
    np.testing.assert_allclose(lens.losses[0], expected, rtol=1e-4, atol=1e-6)
    assert lens.weights.shape == (3, 10, 10)


def test_bad_batches():
    with pytest.raises(ValueError, match="batches is empty"):
        tuned_lens(linear, [])
    with pytest.raises(ValueError, match=r"\(5, 1, 2\) and a later one \(3, 1, 2\)"):
        tuned_lens(linear, [jnp.ones((5, 1, 2)), jnp.ones((3, 1, 2))])


def test_a_model_without_residual_streams():
    with pytest.raises(HookError, match=r"logit_lens needs .*\*\.residual_out"):
        logit_lens(lambda x: tap("a.weights", x * 1.0), TOKENS)


def test_streams_of_different_shapes(fn):
    with pytest.raises(HookError, match=r"has the shape \[2, 5, 10\] and 'logits' \[2, 5, 11\]"):
        logit_lens(fn, TOKENS, residuals=["*.residual_out", "logits"])
    assert VOCABULARY == 11


@pytest.mark.parametrize("verb", ["logit_lens", "direct", "scores", "attribution", "loadings"])
def test_a_verb_is_one_program_compiled_once(fn, verb, count_programs):
    features = jnp.ones((2, 2, 5, 10))
    calls = {
        "logit_lens": lambda: logit_lens(fn, TOKENS),
        "direct": lambda: circuits.direct_logit_attribution(fn, TOKENS, METRIC),
        "scores": lambda: circuits.head_scores(fn, TOKENS),
        "attribution": lambda: circuits.qk_attribution(
            fn, TOKENS, "layers.1.attention", query=3, key=1
        ),
        "loadings": lambda: circuits.head_loadings(fn, TOKENS, features, METRIC),
    }
    calls[verb]()  # JAX compiles its own small operations once
    freed.keep.cache_clear()
    assert count_programs(calls[verb]) == 1
    assert count_programs(calls[verb]) == 0
