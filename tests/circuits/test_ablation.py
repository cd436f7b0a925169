"""Heads taken away, against a twin of the model in float64 from which they are taken by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from streams import (
    CLEAN,
    CORRUPTED,
    HEADS,
    LAYERS,
    difference,
    model,
    scanned,
    twin,
    values_of,
)

from attn_jax import circuits, hooks, measure
from attn_jax.hooks import freed

METRIC = circuits.logit_difference(4, 6)
TOKENS = jnp.asarray(CLEAN)


def by_hand(new):
    """Return the change of the metric with `new(name, context)` in the place of each head."""
    table = np.zeros((LAYERS, HEADS))
    for layer, head in np.ndindex(table.shape):

        def edit(name, value, layer=layer, head=head):
            if name != f"layers.{layer}.attention.context":
                return value
            value = value.copy()
            value[:, :, head] = new(name, value)[:, :, head]
            return value

        table[layer, head] = difference(twin(CLEAN, edit)) - difference(twin(CLEAN))
    return table


@pytest.fixture(scope="module")
def zeroed():
    return circuits.ablate_heads(model, TOKENS, METRIC)


def test_heads_set_to_zero(zeroed):
    np.testing.assert_allclose(zeroed, by_hand(lambda _, x: 0 * x), atol=1e-5)
    assert zeroed.axes == ("layer", "head")
    assert zeroed.names == ("layers.0.attention.context", "layers.1.attention.context")


def test_heads_at_their_mean_and_at_another_input():
    mean = circuits.ablate_heads(model, TOKENS, METRIC, by="mean")
    expected = by_hand(lambda _, x: np.broadcast_to(x.mean(0), x.shape))
    np.testing.assert_allclose(mean, expected, atol=1e-5)
    other = circuits.ablate_heads(
        model, TOKENS, METRIC, by="resample", other=jnp.asarray(CORRUPTED)
    )
    donor = values_of(CORRUPTED)
    np.testing.assert_allclose(other, by_hand(lambda name, _: donor[name]), atol=1e-5)


def test_a_scanned_stack_gives_the_same_under_the_same_names(zeroed):
    table = circuits.ablate_heads(scanned, TOKENS, METRIC)
    np.testing.assert_allclose(table, zeroed, atol=1e-5)
    assert table.names == zeroed.names


def test_one_program_holds_all_runs_and_the_layers_before_are_computed_once(count_programs):
    freed.keep.cache_clear()
    assert count_programs(lambda: circuits.ablate_heads(model, TOKENS, METRIC)) == 1
    flops = flops_of(lambda tokens: circuits.ablate_heads(model, tokens, METRIC).values)
    assert flops < 0.75 * LAYERS * HEADS * flops_of(lambda tokens: METRIC(model(tokens)))


def flops_of(fn):
    cost = jax.jit(fn).lower(TOKENS).compile().cost_analysis()
    assert cost is not None
    return cost["flops"]


def test_heads_known_by_their_weights_alone_are_set_to_zero():
    def hidden(tokens):  # a model of others, whose contexts are not known
        weights = jax.nn.softmax(jnp.float32(np.eye(3)[None, None] + tokens.sum()))
        weights = hooks.tap("layers.0.weights", jnp.tile(weights, (1, 2, 1, 1)))
        return weights.sum((1, 3)) @ jnp.ones((3, 8))

    table = circuits.ablate_heads(hidden, TOKENS, lambda logits: logits.sum())
    assert table.names == ("layers.0.weights",)
    np.testing.assert_allclose(table, [[-24.0, -24.0]], rtol=1e-6)
    with pytest.raises(hooks.HookError, match="by='mean' replaces a head's context"):
        circuits.ablate_heads(hidden, TOKENS, lambda logits: logits.sum(), by="mean")


def test_a_tapped_function_gives_what_our_own_hook_points_give():
    def plain(x):  # knows no hooks
        weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", x, x))
        return jnp.einsum("bhqk,bkhd->bqhd", weights, x).reshape(2, 5, 6)

    x = jax.random.normal(jax.random.key(0), (2, 5, 3, 2))
    table = circuits.ablate_heads(hooks.tap_attention(plain), x, lambda out: (out**2).sum())
    out = np.asarray(plain(x)).reshape(2, 5, 3, 2)
    np.testing.assert_allclose(table, -(out**2).sum((0, 1, 3))[None], rtol=1e-5)


def test_measures_of_ablation_are_the_same_program():
    target = jnp.array([4, 4])

    def last(tokens):
        return model(tokens)[:, -1]

    rise = measure.head_ablation(last, TOKENS, target)

    def loss(logits):
        return -jax.nn.log_softmax(logits)[:, 4].mean()

    table = circuits.ablate_heads(last, TOKENS, loss, attention="*.weights")
    np.testing.assert_allclose(np.stack(list(rise.values())), table, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": lambda logits: logits}, "array of shape .*, and a number is needed"),
        ({"by": "resample"}, "does not go with other=None"),
        ({"by": "resample", "other": TOKENS[:, :3]}, r"have the shapes \(2, 5\) and \(2, 3\)"),
        ({"fn": lambda tokens: tokens.sum()}, "needs hook points like .*the model has none at all"),
    ],
    ids=["metric", "no other", "shapes", "no hook points"],
)
def test_what_cannot_be_ablated_is_said_in_a_line(options, message):
    arguments = {"fn": model, "inputs": TOKENS, "metric": METRIC} | options
    with pytest.raises(ValueError, match=message):
        circuits.ablate_heads(**arguments)
