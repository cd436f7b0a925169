"""Edits of a card respect the masks of an attention, wherever they are written."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import hooks, measure, nn, ops
from attn_jax.measure import reweigh
from attn_jax.measure.card.judged import Judged, Plan
from attn_jax.measure.card.noise import draw as draw_noise

N, Q, K = 24, 3, 5
EXISTS = jnp.ones((N, K), bool)
LENGTHS = 2 + np.arange(N) % 4
SEGMENTS = np.broadcast_to([0, 0, 0, 1, 1], (N, K))
# Every query sees at least the third key.
MASK = (np.random.default_rng(7).random((N, 1, Q, K)) < 0.6) | (np.arange(K) == 2)
KEY_MASK = jnp.asarray(np.arange(K) < LENGTHS[:, None])

MASKS = {
    "causal": {"causal": True},
    "offset": {"causal": True, "query_offset": 1},
    "window": {"window": (0, 1)},
    "padded": {"key_mask": KEY_MASK},
    "segments": {"segment_ids": (jnp.asarray(SEGMENTS[:, 1 : 1 + Q]), jnp.asarray(SEGMENTS))},
    "mask": {"mask": jnp.asarray(MASK)},
    "infinite bias": {"bias": jnp.asarray(np.where(MASK, 0, -np.inf), jnp.float32)},
    "large bias": {"bias": jnp.asarray(np.where(MASK, 0, -1e9), jnp.float32)},
}


def visible_by_hand(name):
    """Say of each query and key whether the first may look at the second."""
    visible = np.zeros((N, Q, K), bool)
    for n, i, j in np.ndindex(N, Q, K):
        visible[n, i, j] = {
            "causal": j <= i,
            "offset": j <= i + 1,
            "window": i <= j <= i + 1,
            "padded": j < LENGTHS[n],
            "segments": SEGMENTS[n, i + 1] == SEGMENTS[n, j],
        }.get(name, MASK[n, 0, i, j])
    return visible


def draw():
    rng = np.random.default_rng(3)
    query, key = rng.normal(size=(N, Q, 1, 2)), rng.normal(size=(N, K, 1, 2))
    return {"query": jnp.asarray(query, jnp.float32), "key": jnp.asarray(key, jnp.float32)}


INPUTS = draw()


def received(names, inputs, **options):
    """Return the weights that reach the values: with the identity for values, the context."""
    value = jnp.broadcast_to(jnp.eye(K)[None, :, None], (N, K, 1, K))
    masks = {option: value for name in names for option, value in MASKS[name].items()}
    context = ops.attention(inputs["query"], inputs["key"], value, **masks, **options)
    return context[:, :, 0]


def judge(fn, visible="operands"):
    plan = Plan(("weights",), visible=visible)
    noise = draw_noise(jax.random.key(0), (N, K))
    return Judged(fn, plan, INPUTS, EXISTS, EXISTS, EXISTS, EXISTS, None, noise)


def redistribute(judged, row):
    """Give the queries the weights of a row, as the search for adversarial weights does."""
    weights = jnp.asarray(np.broadcast_to(row, (N, K)), jnp.float32)
    return np.asarray(judged.redistributed(functools.partial(reweigh.set_weights, weights)))


@pytest.mark.parametrize("name", MASKS)
def test_new_weights_lie_on_the_keys_that_the_operands_show(name):
    row = np.arange(1, K + 1) / 15
    judged = judge(functools.partial(received, [name]))
    visible = visible_by_hand(name)
    expected = visible * row
    expected /= np.maximum(expected.sum(-1, keepdims=True), 1e-9)
    np.testing.assert_allclose(redistribute(judged, row), expected, atol=1e-6)


@pytest.mark.parametrize("implementation", ["xla", "streaming"])
def test_exchanged_weights_stay_where_they_may_be(implementation):
    fn = functools.partial(received, ["causal"], implementation=implementation)
    noise = jnp.asarray(np.random.default_rng(1).random((N, K)), jnp.float32)
    exchange = functools.partial(reweigh.exchange_keys, noise)
    new, own = np.asarray(judge(fn).redistributed(exchange)), np.asarray(fn(INPUTS))
    assert not new[:, ~np.tri(Q, K, dtype=bool)].any()
    np.testing.assert_allclose(np.sort(new), np.sort(own), atol=1e-6)
    assert (np.abs(new - own)[:, 2].max(-1) > 1e-3).mean() > 0.5


def test_no_run_of_a_card_gives_weight_to_a_hidden_key():
    leaks, visible = [], jnp.asarray(visible_by_hand("offset") & visible_by_hand("padded"))

    def fn(inputs):
        scores = inputs["query"][:, :, 0] @ inputs["key"][:, :, 0].mT
        weights = hooks.tap("weights", ops.softmax(scores, mask=visible), visible=visible)
        leak = jnp.where(visible, 0, jnp.abs(weights)).max()
        jax.debug.callback(lambda leak: leaks.append(float(leak)), leak)
        return weights.sum(1)

    card = measure.report_card(fn, INPUTS, resample=None, adversarial=True)
    jax.effects_barrier()
    assert len(leaks) > 100
    assert max(leaks) == 0
    assert card.notes[1].startswith("Which keys are hidden is read from the masks")


def sparse(inputs):
    """Attend by sparsemax, whose weights are zero at most of the visible keys."""
    query, key = 9 * inputs["query"][:, :, 0], inputs["key"][:, :, 0]
    weights = ops.sparsemax(query @ key.mT)
    weights = hooks.tap("weights", weights, visible=jnp.ones((1, 1, 1), bool))
    return weights.sum(1)


def test_the_zeros_of_sparsemax_are_visible():
    own = np.asarray(hooks.capture(sparse, "weights")(INPUTS)[1]["weights"])
    assert (own == 0).mean() > 0.5
    row = np.full(K, 1 / K)
    new = redistribute(judge(lambda x: hooks.capture(sparse, "weights")(x)[0]), row)
    np.testing.assert_allclose(new, Q / K, atol=1e-6)
    # Where zeros hide, each query has only the keys that it has already.
    new = redistribute(judge(sparse, "nonzero"), row)
    expected = ((own != 0) / (own != 0).sum(-1, keepdims=True)).sum(1)
    np.testing.assert_allclose(new, expected, atol=1e-6)
    new = redistribute(judge(sparse, "mask"), row)
    np.testing.assert_allclose(new, Q / K, atol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        nn.MultiHeadAttention(num_heads=2, causal=True),
        nn.MultiHeadAttention(num_heads=2, causal=True, normalizer=ops.sparsemax),
        nn.LinearAttention(num_heads=2, causal=True),
    ],
    ids=["fused", "unfused", "linear"],
)
def test_modules_carry_their_masks(model):
    x = jax.random.normal(jax.random.key(0), (N, K, 4))
    variables = model.init(jax.random.key(1), x)
    sites = []

    def edit(weights, site):
        sites.append(np.broadcast_to(site.visible(), weights.shape))
        return weights

    hooks.intervene(model.apply, {"weights": edit})(variables, x, key_mask=KEY_MASK)
    expected = np.tri(K, dtype=bool) & np.asarray(KEY_MASK)[:, None]
    np.testing.assert_array_equal(sites[0], np.stack([expected, expected], 1))


def test_without_masks_zeros_hide_and_the_card_says_so():
    value = jnp.eye(K)[None]

    def stock(inputs):
        scores = inputs["query"][:, :, 0] @ inputs["key"][:, :, 0].mT
        weights = jax.nn.softmax(scores, where=jnp.tri(Q, K, dtype=bool)[None])
        return (weights @ value).sum(1)

    fn = hooks.tap_attention(stock)
    card = measure.report_card(fn, INPUTS, resample=None, adversarial=False)
    assert card.notes[1] == (
        "The attention carries no masks, so a weight of exactly zero counts as hidden; no edit "
        "gives weight to a hidden key. Up to 2 keys of an example are hidden from every query."
    )


def test_swaps_stay_where_a_mask_lets_them():
    # The second query sees two keys, and gives them the same weights again or exchanges them.
    fn = functools.partial(received, ["causal"])
    inputs = {**INPUTS, "query": jnp.zeros_like(INPUTS["query"])}

    def second(inputs):
        return jnp.log(fn(inputs)[:, 1] + 1e-9)

    probabilities = jax.nn.softmax(second(inputs))
    np.testing.assert_allclose(probabilities[:, :2], 0.5, atol=1e-6)
    weights = jnp.broadcast_to(jnp.array([0.1, 0.1, 0.5, 0.2, 0.1]), (N, K))
    swapped = measure.swap_weights(second, inputs, probabilities, weights, attention="weights")
    np.testing.assert_allclose(swapped, 0, atol=1e-6)
    permuted = measure.swap_permuted(
        second, inputs, probabilities, rng=jax.random.key(0), attention="weights", mask=EXISTS
    )
    np.testing.assert_allclose(permuted, 0, atol=1e-6)
