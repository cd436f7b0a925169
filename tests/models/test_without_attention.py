"""Models without attention: what they see of their input, and that they learn."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from attn_jax import models
from attn_jax.hooks import hook_points
from attn_jax.models import FixedVectorDecoder, FixedVectorTranslator, PlainImageClassifier, RowStem

SOURCE = jnp.array([[4, 5, 6, 7, 8, 9, 10], [9, 4, 8, 0, 0, 0, 0], [6, 0, 0, 0, 0, 0, 0]])
TARGET = jnp.array([[7, 12, 4, 9, 2], [5, 2, 0, 0, 0], [9, 9, 2, 0, 0]])
TRANSLATOR = FixedVectorTranslator(
    encoder=models.BidirectionalEncoder(features=3),
    decoder=FixedVectorDecoder(features=5),
    embedding_dim=7,
    source_vocabulary=11,
    target_vocabulary=13,
)


@pytest.fixture(scope="module")
def variables(draw_variables):
    return draw_variables(TRANSLATOR, SOURCE, TARGET)


@pytest.fixture(scope="module")
def apply(variables):
    return jax.jit(partial(TRANSLATOR.apply, variables))


def test_neither_has_hook_points_of_attention(variables):
    assert hook_points(TRANSLATOR.apply)(variables, SOURCE, TARGET) == []
    model, image = PlainImageClassifier(num_classes=3), jnp.ones((2, 5, 7))
    assert hook_points(model.apply)(model.init(jax.random.key(0), image), image) == []


def test_a_step_at_a_time_is_the_whole_at_once(variables, apply):
    memory, state = TRANSLATOR.apply(variables, SOURCE, 5, method="start")
    assert {name: array.shape for name, array in memory.items()} == {"vector": (3, 10)}
    step = jax.jit(partial(TRANSLATOR.apply, variables, method="step"))
    before, logits = jnp.array([1, 1, 1]), []
    for position in range(5):
        state, each = step(memory, state, before, position)
        logits.append(each)
        before = TARGET[:, position]
    np.testing.assert_allclose(jnp.stack(logits, 1), apply(SOURCE, TARGET), atol=1e-5)


def test_padding_changes_nothing_and_every_token_counts(apply):
    logits = apply(SOURCE, TARGET)
    padded = apply(jnp.pad(SOURCE, ((0, 0), (0, 4))), TARGET)
    np.testing.assert_allclose(padded, logits, atol=1e-5)
    for place in range(7):
        changed = apply(SOURCE.at[0, place].set(3), TARGET)
        assert np.abs(changed[0] - logits[0]).max() > 1e-4
        np.testing.assert_allclose(changed[1:], logits[1:], atol=1e-6)


def test_a_translator_learns_one_batch_by_heart():
    optimizer = optax.adam(2e-2)

    def loss(variables):
        each = optax.softmax_cross_entropy_with_integer_labels(
            TRANSLATOR.apply(variables, SOURCE, TARGET), TARGET
        )
        return (each * (TARGET != 0)).sum()

    @jax.jit
    def fit(variables):
        def step(_, carry):
            variables, state = carry
            updates, state = optimizer.update(jax.grad(loss)(variables), state)
            return optax.apply_updates(variables, updates), state

        return jax.lax.fori_loop(0, 150, step, (variables, optimizer.init(variables)))[0]

    fitted = fit(jax.jit(TRANSLATOR.init)(jax.random.key(0), SOURCE, TARGET))
    decoded = models.greedy_decode(TRANSLATOR, fitted, SOURCE, max_length=5)
    np.testing.assert_array_equal(decoded.tokens, TARGET)
    assert decoded.weights == {}


@pytest.mark.parametrize("pooling", ["mean", "all"])
def test_an_image_is_the_mean_of_its_rows_or_all_of_them(pooling, draw_variables):
    model = PlainImageClassifier(stem=RowStem(5), pooling=pooling, num_classes=3)
    image = jnp.asarray(np.random.default_rng(0).random((2, 7, 11)), jnp.float32)
    variables = draw_variables(model, image)
    params = jax.tree.map(np.asarray, variables["params"])
    stem, norm = params["stem"], params["LayerNorm_0"]
    rows = np.maximum(np.asarray(image) @ stem["Dense_0"]["kernel"] + stem["bias"][:, 0], 0)
    rows = rows + params["position"][:, 0]
    centered = rows - rows.mean(-1, keepdims=True)
    scaled = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-6)
    tokens = scaled * norm["scale"] + norm["bias"]
    pooled = tokens.mean(1) if pooling == "mean" else tokens.reshape(2, -1)
    expected = pooled @ params["head"]["kernel"] + params["head"]["bias"]
    np.testing.assert_allclose(model.apply(variables, image), expected, atol=1e-4)
