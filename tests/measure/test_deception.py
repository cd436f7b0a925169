"""The card must catch a model that was trained to hide what it uses from its attention."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen

from attn_jax import hooks, measure, nn

TOKENS, LENGTH, KINDS = 23, 11, 3
SEEDS = [0, 1, 2]


class Reader(linen.Module):
    """Embed tokens, mix a little of the neighbors into each, and pool them by attention."""

    @linen.compact
    def __call__(self, tokens):
        x = linen.Embed(TOKENS, 32)(tokens)
        heard = linen.Bidirectional(*(linen.RNN(linen.GRUCell(32)) for _ in range(2)))(x)
        gate = self.param("gate", linen.initializers.zeros, (), jnp.float32)
        x = x + gate * linen.Dense(32)(heard)
        return linen.Dense(KINDS)(nn.AttentionPooling(name="pooling")(x))


MODEL = Reader()


def draw(rng, count):
    """Draw sentences in which one token, of the first three kinds, is the class."""
    places, labels, others = jax.random.split(rng, 3)
    place = jax.random.randint(places, (count, 1), 0, LENGTH)
    label = jax.random.randint(labels, (count,), 0, KINDS)
    decides = jnp.arange(LENGTH)[None] == place
    hay = jax.random.randint(others, (count, LENGTH), KINDS, TOKENS)
    return jnp.where(decides, label[:, None], hay), decides, label


@functools.partial(jax.jit, static_argnames="steps")
def train(rng, penalty, steps=300):
    optimizer = optax.adam(5e-3)
    params = MODEL.init(rng, draw(rng, 2)[0])["params"]

    def loss(params, batch):
        tokens, decides, label = batch
        run = hooks.capture(MODEL.apply, "*.weights")
        logits, captured = run({"params": params}, tokens)
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()
        (weights,) = captured.values()
        return entropy + penalty * measure.deception_penalty(weights, decides)

    def step(carry, rng):
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params, draw(rng, 64)), state)
        return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(
        step, (params, optimizer.init(params)), jax.random.split(rng, steps)
    )
    return params


@jax.jit
def judge(params, batch):
    tokens, decides, label = batch
    logits, captured = hooks.capture(MODEL.apply, "*.weights")({"params": params}, tokens)
    (weights,) = captured.values()
    share = jnp.where(decides[:, None], weights, 0).sum(-1).mean()
    return (logits.argmax(-1) == label).mean(), share


@pytest.fixture(scope="module")
def trained():
    """Return an honest and a deceptive model for each seed, and their cards, compiled once."""
    runs = [(seed, penalty) for seed in SEEDS for penalty in (0.0, 1.0)]
    all_params = [train(jax.random.key(seed), penalty) for seed, penalty in runs]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *all_params)

    def answer(inputs):
        chosen = jax.tree.map(lambda leaves: leaves[inputs["model"][0]], stacked)
        return MODEL.apply({"params": chosen}, inputs["tokens"])

    result = {}
    for model, (seed, penalty) in enumerate(runs):
        test = draw(jax.random.key(100 + seed), 256)
        accuracy, share = judge(all_params[model], test)
        inputs = {"tokens": test[0], "model": jnp.full(256, model)}
        card = measure.report_card(answer, inputs, target=test[2], rng=jax.random.key(seed))
        result[seed, penalty] = types.SimpleNamespace(accuracy=accuracy, share=share, card=card)
    return result


@pytest.mark.parametrize("seed", SEEDS)
def test_attention_learns_to_lie_and_the_card_turns(trained, seed):
    honest, deceptive = trained[seed, 0.0], trained[seed, 1.0]
    assert honest.share > 0.5
    assert deceptive.share <= 0.01
    assert deceptive.accuracy >= honest.accuracy - 0.02
    assert honest.card.reads == "supports", str(honest.card)
    assert deceptive.card.reads == "against", str(deceptive.card)


def test_the_penalty_follows_the_paper():
    weights = np.random.default_rng(0).dirichlet(np.ones(7), (3, 2)).astype(np.float32)
    which = np.arange(7) < np.array([2, 0, 5])[:, None]
    rows = [
        -np.log(1 - weights[n, q][which[n]].astype(np.float64).sum()) for n, q in np.ndindex(3, 2)
    ]
    result = measure.deception_penalty(jnp.array(weights), jnp.array(which))
    np.testing.assert_allclose(result, np.mean(rows), rtol=1e-5)
    certain = jax.value_and_grad(measure.deception_penalty)(
        jnp.eye(3)[:1], jnp.array([True, False, False])
    )
    assert all(np.isfinite(part).all() for part in certain)
