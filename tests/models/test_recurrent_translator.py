"""Recurrent translators: two papers' decoders, any attention, padding that cannot matter."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen

from attn_jax import models, nn, ops
from attn_jax.hooks import capture
from attn_jax.models import BahdanauDecoder, LuongDecoder
from attn_jax.models.recurrent.decoders import Maxout

SIZES = {"source_vocabulary": 11, "target_vocabulary": 13}
SOURCE = jnp.array([[4, 5, 6, 7, 8, 9, 10], [9, 4, 8, 0, 0, 0, 0], [6, 0, 0, 0, 0, 0, 0]])
TARGET = jnp.array([[7, 12, 4, 9, 2], [5, 2, 0, 0, 0], [9, 9, 2, 0, 0]])

DECODERS = {
    "bahdanau gru": BahdanauDecoder(features=5),
    "bahdanau lstm": BahdanauDecoder(features=5, cell="lstm"),
    "luong": LuongDecoder(attention=nn.DotProductAttention(), features=5),
    "luong lstm": LuongDecoder(features=5, cell="lstm"),
    "luong without feeding": LuongDecoder(features=5, input_feeding=False),
    "luong lstm without feeding": LuongDecoder(features=5, cell="lstm", input_feeding=False),
}


def translator(decoder, **fields):
    encoder = models.BidirectionalEncoder(features=3, cell=decoder.cell)
    return models.RecurrentTranslator(
        encoder=encoder, decoder=decoder, embedding_dim=7, **SIZES, **fields
    )


@pytest.fixture(scope="module", params=DECODERS)
def trained(request, draw_variables):
    """A model with parameters that are not small, and jitted: its logits and its weights."""
    model = translator(DECODERS[request.param])
    variables = draw_variables(model, SOURCE, TARGET)
    look = jax.jit(partial(capture(model.apply, "*weights"), variables))
    return model, variables, look


def test_a_step_at_a_time_is_the_whole_at_once(trained):
    model, variables, look = trained
    at_once, _ = look(SOURCE, TARGET)

    @jax.jit
    def step_by_step(source, target):
        memory, state = model.apply(variables, source, 5, method="start")
        before, found = jnp.array([1, 1, 1]), []
        for at in range(5):
            state, logits = model.apply(variables, memory, state, before, at, method="step")
            found.append(logits)
            before = target[:, at]
        return jnp.stack(found, axis=1)

    np.testing.assert_allclose(step_by_step(SOURCE, TARGET), at_once, atol=1e-5)


def test_padding_changes_nothing_and_gets_no_weight(trained):
    model, _, look = trained
    logits, weights = look(SOURCE, TARGET)
    (weights,) = model.name_weights(weights).values()
    assert weights.shape == (3, 1, 5, 7)
    assert np.all(np.asarray(weights)[1, ..., 3:] == 0)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
    wider, longer = jnp.pad(SOURCE, ((0, 0), (0, 4))), jnp.pad(TARGET, ((0, 0), (0, 3)))
    padded, looked = look(wider, longer)
    np.testing.assert_allclose(padded[:, :5], logits, atol=1e-5)
    (looked,) = model.name_weights(looked).values()
    np.testing.assert_allclose(looked[..., :5, :7], weights, atol=1e-6)


def test_no_token_is_predicted_from_itself_or_from_later_ones(trained):
    _, _, look = trained
    logits, _ = look(SOURCE, TARGET)
    changed, _ = look(SOURCE, TARGET.at[:, 2].set(11))
    np.testing.assert_array_equal(changed[:, :3], logits[:, :3])
    assert np.abs(changed[0, 3] - logits[0, 3]).max() > 1e-3


@pytest.mark.parametrize("decoder", ["bahdanau gru", "luong"])
def test_it_learns_one_batch_by_heart(decoder):
    model = translator(DECODERS[decoder])
    optimizer = optax.adam(2e-2)

    def loss(variables):
        each = optax.softmax_cross_entropy_with_integer_labels(
            model.apply(variables, SOURCE, TARGET), TARGET
        )
        return (each * (TARGET != 0)).sum()

    @jax.jit
    def fit(variables):
        def step(_, carry):
            variables, state = carry
            updates, state = optimizer.update(jax.grad(loss)(variables), state)
            return optax.apply_updates(variables, updates), state

        return jax.lax.fori_loop(0, 150, step, (variables, optimizer.init(variables)))[0]

    variables = fit(jax.jit(model.init)(jax.random.key(0), SOURCE, TARGET))
    decode = jax.jit(partial(models.greedy_decode, model, max_length=5))
    np.testing.assert_array_equal(decode(variables, SOURCE).tokens, TARGET)


ATTENTIONS = {
    "additive": nn.AdditiveAttention(),
    "sparsemax": nn.AdditiveAttention(normalizer=ops.sparsemax),
    "dot": nn.DotProductAttention(),
    "scaled dot": nn.ScaledDotProductAttention(),
    "feed-forward": nn.FeedForwardAttention(),
    "bilinear": nn.BilinearAttention(),
    "concat": nn.ConcatAttention(),
    "location": nn.LocationAttention(max_keys=17),
    "cosine": nn.CosineAttention(),
    "learned entmax": nn.DotProductAttention(normalizer=nn.Entmax()),
}


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_any_attention_will_do(draw_variables, attention):
    model = translator(BahdanauDecoder(attention=ATTENTIONS[attention], features=5))

    @jax.jit
    def run(variables):
        weights = models.translation_weights(model, variables, SOURCE, TARGET)
        return weights, jax.grad(lambda v: model.apply(v, SOURCE, TARGET).std())(variables)

    weights, grads = run(draw_variables(model, SOURCE, TARGET))
    rows = weights["decoder.attention.weights"].sum(-1)
    np.testing.assert_allclose(rows, 1, atol=1e-5)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(grads))


@pytest.mark.parametrize(
    "attention",
    [
        nn.GaussianMixtureAttention(),
        nn.LocalMAttention(),
        nn.LocationSensitiveAttention(),
        nn.MochaAttention(),
        nn.MonotonicAttention(),
    ],
    ids=lambda attention: type(attention).__name__,
)
def test_attention_that_asks_for_more_than_a_query_is_refused(attention):
    model = translator(LuongDecoder(attention=attention, features=5))
    with pytest.raises(
        ValueError, match=rf"attention={type(attention).__name__} needs the position"
    ):
        model.init(jax.random.key(0), SOURCE, TARGET)


def test_luongs_dot_is_a_plain_product_of_both_states():
    decoder = LuongDecoder(attention=nn.DotProductAttention(), features=6, project_key=False)
    model = translator(decoder)
    variables = jax.jit(model.init)(jax.random.key(0), SOURCE, TARGET)
    assert "key" not in variables["params"]["decoder"]
    look = jax.jit(capture(model.apply, ["decoder*query", "decoder*key", "decoder*weights"]))
    _, found = look(variables, SOURCE, TARGET)
    parts = {name.rpartition(".")[2]: np.asarray(each) for name, each in found.items()}
    query, key, weights = parts["query"], parts["key"], parts["weights"]
    scores = np.einsum("tnqd,tnkd->tnqk", query, key)
    scores = np.where(np.asarray(SOURCE != 0)[None, :, None], scores, -np.inf)
    expected = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    np.testing.assert_allclose(weights, expected, atol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_luongs_dot_needs_states_of_one_width():
    decoder = LuongDecoder(attention=nn.DotProductAttention(), features=5, project_key=False)
    with pytest.raises(ValueError, match="key has 6 features and query expects 5"):
        translator(decoder).init(jax.random.key(0), SOURCE, TARGET)


@pytest.mark.parametrize("size", SIZES)
def test_vocabularies_must_be_filled_in(size):
    model = translator(BahdanauDecoder()).clone(**{size: None})
    with pytest.raises(ValueError, match=rf"{size}=None .* model\.clone\(\*\*task\.sizes\)"):
        model.init(jax.random.key(0), SOURCE, TARGET)


def test_maxout_keeps_the_larger_of_two_neighbors(draw_variables):
    x = jax.random.normal(jax.random.key(1), (2, 5, 7))
    layer = Maxout(3)
    variables = draw_variables(layer, x)
    kernel, bias = (np.asarray(variables["params"][name]) for name in ("kernel", "bias"))
    expected = (np.asarray(x) @ kernel + bias).reshape(2, 5, 3, 2).max(-1)
    np.testing.assert_allclose(layer.apply(variables, x), expected, atol=1e-5)


def test_maxout_starts_with_the_parameters_of_a_plain_layer():
    x = jnp.ones((2, 7))
    start = [layer.init(jax.random.key(3), x) for layer in (Maxout(3), linen.Dense(6))]
    jax.tree.map(np.testing.assert_array_equal, *start)
