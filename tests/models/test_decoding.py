"""The Transformer's cache, beam search and greedy search, beside searches without any."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from attn_jax import models
from attn_jax.hooks import hook_points
from attn_jax.models import RecurrentTranslator, TransformerTranslator
from attn_jax.models.transformer import translator

SOURCE = jnp.array([[4, 5, 6, 7, 8, 9, 10], [5, 4, 9, 0, 0, 0, 0], [8, 0, 0, 0, 0, 0, 0]])
TARGET = jnp.array([[3, 4, 5, 6, 2], [7, 3, 2, 0, 0], [5, 2, 0, 0, 0]])
SIZES = {"source_vocabulary": 11, "target_vocabulary": 8}
TRANSFORMER = TransformerTranslator(features=12, num_layers=3, num_heads=2, hidden_dim=17, **SIZES)
RECURRENT = RecurrentTranslator(
    encoder=models.BidirectionalEncoder(5),
    decoder=models.BahdanauDecoder(features=7),
    embedding_dim=13,
    **SIZES,
)


@pytest.fixture(scope="module", params=[TRANSFORMER, RECURRENT], ids=["transformer", "recurrent"])
def trained(request):
    """A model with parameters that are not small, and the probabilities that it gives."""
    model = request.param
    variables = jax.jit(model.init)(jax.random.key(3), SOURCE, TARGET)
    variables = jax.tree.map(lambda x: 2 * x, variables)
    logs = jax.jit(lambda *pair: jax.nn.log_softmax(model.apply(variables, *pair)))
    return model, variables, logs


def test_a_step_at_a_time_with_a_cache_is_the_whole_at_once(trained):
    model, variables, logs = trained

    @jax.jit
    def step_by_step(source, target):
        memory, state = model.apply(variables, source, 6, method="start")
        before, found = jnp.array([1, 1, 1]), []
        for at in range(5):
            state, logits = model.apply(variables, memory, state, before, at, method="step")
            found.append(jax.nn.log_softmax(logits))
            before = target[:, at]
        return jnp.stack(found, axis=1)

    np.testing.assert_allclose(
        step_by_step(SOURCE, TARGET), logs(SOURCE, TARGET), rtol=5e-6, atol=2e-5
    )


def test_greedy_search_is_argmax_without_a_cache(trained):
    model, variables, logs = trained
    found = jax.jit(partial(models.greedy_decode, model, max_length=5))(variables, SOURCE)
    written, total = np.zeros((3, 5), int), np.zeros(3)
    for at in range(5):
        told = np.asarray(logs(SOURCE, jnp.array(written)))[:, at]
        for n in range(3):
            if 2 not in written[n, :at]:
                # Neither padding nor the beginning is text.
                written[n, at] = 2 + told[n, 2:].argmax()
                total[n] += told[n, 2:].max()
    np.testing.assert_array_equal(found.tokens, written)
    np.testing.assert_allclose(found.log_probability, total, atol=1e-4)


@pytest.mark.parametrize("penalty", [0.0, 0.6])
def test_a_beam_that_holds_all_is_an_exhaustive_search(trained, penalty):
    model, variables, logs = trained
    length, words = 3, [2, 3, 4, 5, 6, 7]
    every = [
        list(prefix) + [2] * (len(prefix) < length)
        for size in range(length + 1)
        for prefix in itertools.product(words[1:], repeat=size)
    ]
    padded = np.array([each + [0] * (length - len(each)) for each in every])
    decode = partial(models.beam_decode, model, max_length=length, beam_size=len(every))
    found = jax.jit(partial(decode, length_penalty=penalty))(variables, SOURCE)
    for n in range(3):
        told = np.asarray(logs(jnp.tile(SOURCE[n], (len(every), 1)), jnp.array(padded)))
        scores = [
            sum(told[i, t, token] for t, token in enumerate(each))
            / ((5 + len(each)) / 6) ** penalty
            for i, each in enumerate(every)
        ]
        best = np.argsort(scores)[::-1]
        np.testing.assert_allclose(found.score[n, :5], np.array(scores)[best[:5]], atol=1e-4)
        np.testing.assert_array_equal(found.tokens[n, 0], padded[best[0]])


def test_a_beam_of_one_is_greedy(trained):
    model, variables, _ = trained
    greedy = jax.jit(partial(models.greedy_decode, model, max_length=5))(variables, SOURCE)
    beam = jax.jit(partial(models.beam_decode, model, max_length=5, beam_size=1))
    found = beam(variables, SOURCE)
    np.testing.assert_array_equal(found.tokens[:, 0], greedy.tokens)
    for name, each in greedy.weights.items():
        np.testing.assert_allclose(found.weights[name][:, 0], each, atol=1e-5)


def test_neither_padding_nor_the_beginning_is_written(draw_variables):
    variables = draw_variables(RECURRENT, SOURCE, TARGET)
    bias = variables["params"]["head"]["bias"].at[jnp.array([0, 1])].set(50.0)
    variables["params"]["head"]["bias"] = bias
    found = jax.jit(partial(models.greedy_decode, RECURRENT, max_length=5))(variables, SOURCE)
    for row in np.asarray(found.tokens).tolist():
        until_end = row[: row.index(2)] if 2 in row else row
        assert not {0, 1} & set(until_end)


def test_weights_while_writing_are_those_of_all_steps_at_once(trained):
    model, variables, _ = trained
    look = jax.jit(partial(models.translation_weights, model))
    greedy = jax.jit(partial(models.greedy_decode, model, max_length=5))(variables, SOURCE)
    beams = jax.jit(partial(models.beam_decode, model, max_length=5, beam_size=3))
    beams = beams(variables, SOURCE)
    for tokens, weights in (
        (greedy.tokens, greedy.weights),
        *((beams.tokens[:, k], {n: w[:, k] for n, w in beams.weights.items()}) for k in range(3)),
    ):
        at_once = look(variables, SOURCE, tokens)
        assert list(weights) == list(at_once)
        written = np.asarray(tokens != 0)[:, None, :, None]
        assert written.any()
        assert not written.all()
        for name, each in weights.items():
            np.testing.assert_allclose(each, at_once[name] * written, atol=1e-5)


def test_there_must_be_a_beam():
    with pytest.raises(ValueError, match="beam_size=0 must be at least 1"):
        models.beam_decode(TRANSFORMER, {}, SOURCE, max_length=3, beam_size=0)


def test_the_transformers_layers_are_one_stack_of_hook_points():
    variables = jax.eval_shape(TRANSFORMER.init, jax.random.key(0), SOURCE, TARGET)
    points = hook_points(TRANSFORMER.apply)(variables, SOURCE, TARGET)
    weights = {p.name: p.shape for p in points if p.name.endswith("weights")}
    assert weights == {
        "encoder.layers.*.self_attention.weights": (3, 2, 7, 7),
        "decoder.layers.*.self_attention.weights": (3, 2, 5, 5),
        "decoder.layers.*.cross_attention.weights": (3, 2, 5, 7),
    }


def test_padding_changes_nothing_and_gets_no_weight(draw_variables):
    variables = draw_variables(TRANSFORMER, SOURCE, TARGET)
    look = jax.jit(partial(models.translation_weights, TRANSFORMER))
    run = jax.jit(TRANSFORMER.apply)
    weights = look(variables, SOURCE, TARGET)
    assert list(weights) == [f"decoder.layers.{i}.cross_attention.weights" for i in range(3)]
    wider, longer = jnp.pad(SOURCE, ((0, 0), (0, 4))), jnp.pad(TARGET, ((0, 0), (0, 3)))
    padded = look(variables, wider, longer)
    for name, each in weights.items():
        assert each.shape == (3, 2, 5, 7)
        assert (np.asarray(each)[1, ..., 3:] == 0).all()
        np.testing.assert_allclose(each.sum(-1), 1, atol=1e-5)
        np.testing.assert_allclose(padded[name][..., :5, :7], each, atol=1e-5)
    np.testing.assert_allclose(
        run(variables, wider, longer)[:, :5], run(variables, SOURCE, TARGET), atol=1e-5
    )


def test_no_token_is_predicted_from_itself_or_from_later_ones(draw_variables):
    variables = draw_variables(TRANSFORMER, SOURCE, TARGET)
    run = jax.jit(partial(TRANSFORMER.apply, variables))
    logits, changed = run(SOURCE, TARGET), run(SOURCE, TARGET.at[:, 2].set(7))
    np.testing.assert_allclose(changed[:, :3], logits[:, :3], atol=1e-6)
    assert np.abs(changed[0, 3] - logits[0, 3]).max() > 1e-4


def test_the_transformer_learns_one_batch_by_heart():
    optimizer = optax.adam(3e-3)

    @jax.jit
    def fit(variables):
        def loss(variables):
            logits = TRANSFORMER.apply(variables, SOURCE, TARGET)
            each = optax.softmax_cross_entropy_with_integer_labels(logits, TARGET)
            return (each * (TARGET != 0)).sum()

        def step(_, carry):
            variables, state = carry
            updates, state = optimizer.update(jax.grad(loss)(variables), state)
            return optax.apply_updates(variables, updates), state

        return jax.lax.fori_loop(0, 150, step, (variables, optimizer.init(variables)))[0]

    variables = fit(jax.jit(TRANSFORMER.init)(jax.random.key(0), SOURCE, TARGET))
    decode = jax.jit(partial(models.greedy_decode, TRANSFORMER, max_length=5))
    np.testing.assert_array_equal(decode(variables, SOURCE).tokens, TARGET)


@pytest.mark.parametrize("position", [0, 3])
def test_positions_are_the_papers(position):
    found = translator.sinusoidal_positions(jnp.array([position]), 6)[0]
    expected = [
        (np.sin if i % 2 == 0 else np.cos)(position / 10000 ** (2 * (i // 2) / 6)) for i in range(6)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)
