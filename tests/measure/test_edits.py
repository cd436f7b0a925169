"""Erasure, swaps and attributions of a small model, compared with loops in NumPy."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import hooks, measure

N, Q, K, C = 5, 2, 7, 3
rng = np.random.default_rng(0)
SCORES = rng.normal(size=(N, Q, K)).astype(np.float32)
VALUES = rng.normal(size=(N, K, C)).astype(np.float32) * 2
MASK = np.arange(K) < np.array([7, 7, 5, 6, 3])[:, None]
TARGET = jnp.array([0, 1, 2, 0, 1])
OF = {"attention": "look.weights", "mask": jnp.array(MASK)}
INPUTS = (jnp.array(SCORES), jnp.array(VALUES))


def model(inputs):
    scores, values = inputs
    masked = jnp.where(OF["mask"][:, None], scores, -jnp.inf)
    weights = hooks.tap("look.weights", jax.nn.softmax(masked))
    return jnp.einsum("nqk,nkc->nc", weights, values)


def weights_of():
    raised = np.exp(np.float64(SCORES)) * MASK[:, None]
    return raised / raised.sum(-1, keepdims=True)


def answer(weights):
    """Return all probabilities and the target's for given weights, in float64."""
    logits = np.einsum("nqk,nkc->nc", weights, np.float64(VALUES))
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    probabilities = raised / raised.sum(-1, keepdims=True)
    return probabilities, probabilities[np.arange(N), TARGET]


def without(keep):
    """Return the weights without some keys, row by row."""
    weights = weights_of()
    for n, q in np.ndindex(N, Q):
        rest = weights[n, q] * keep[n]
        weights[n, q] = rest / rest.sum() if rest.sum() else rest
    return weights


def test_the_map_is_the_mean_over_queries():
    logits, values = measure.received(model, "look.weights")(INPUTS)
    np.testing.assert_allclose(values, weights_of().mean(1), atol=1e-6)
    np.testing.assert_allclose(logits, np.einsum("nqk,nkc->nc", weights_of(), VALUES), atol=1e-5)
    _, one = measure.received(model, "look.weights", query=1)(INPUTS)
    np.testing.assert_allclose(one, weights_of()[:, 1], atol=1e-6)


def test_keys_are_erased_in_the_order_of_the_map():
    values = weights_of().mean(1)
    fractions = (0.0, 0.01, 0.3, 0.5, 1.0)
    places = measure.rank_keys(jnp.array(values), OF["mask"], rng=jax.random.key(0))
    result = jax.jit(
        functools.partial(measure.erase, model, attention="look.weights", fractions=fractions)
    )(INPUTS, places, TARGET, mask=OF["mask"])
    for f, fraction in enumerate(fractions):
        highest = np.zeros((N, K), bool)
        for n in range(N):
            count = math.ceil(fraction * MASK[n].sum() - 1e-6)
            highest[n, np.argsort(-values[n], kind="stable")[:count]] = True
        np.testing.assert_allclose(
            result.deleted[:, f], answer(without(MASK & ~highest))[1], atol=1e-5
        )
        np.testing.assert_allclose(
            result.inserted[:, f], answer(without(MASK & highest))[1], atol=1e-5
        )
    areas = measure.deletion_auc(result), measure.insertion_auc(result)
    curves = result.deleted, result.inserted
    for area, curve in zip(areas, curves, strict=True):
        np.testing.assert_allclose(area, np.trapezoid(curve, fractions, axis=-1), atol=1e-6)
    bins = (0.01, 0.5)
    taken, alone = np.asarray(result.deleted)[:, [1, 3]], np.asarray(result.inserted)[:, [1, 3]]
    np.testing.assert_allclose(
        measure.comprehensiveness(result, bins), answer(weights_of())[1] - taken.mean(1), atol=1e-5
    )
    np.testing.assert_allclose(
        measure.sufficiency(result, bins), answer(weights_of())[1] - alone.mean(1), atol=1e-5
    )
    with pytest.raises(ValueError, match=r"bins=\(0.2,\) must be among the fractions"):
        measure.comprehensiveness(result, (0.2,))


def test_equal_weights_rank_at_random_and_padding_last():
    firsts = set()
    for seed in range(40):
        places = measure.rank_keys(jnp.zeros((N, K)), OF["mask"], rng=jax.random.key(seed))
        assert (np.sort(places, -1) == np.arange(K)).all()
        assert (np.where(MASK, places, -1).max(-1) == MASK.sum(-1) - 1).all()
        firsts.add(int(places[0].argmin()))
    assert firsts == set(range(K))


def test_leaving_one_out_is_a_loop_over_keys():
    full = answer(weights_of())[1]
    expected = np.zeros((N, K))
    for key in range(K):
        expected[:, key] = full - answer(without(MASK & (np.arange(K) != key)))[1]
    result = measure.leave_one_out(model, INPUTS, TARGET, jnp.array(full, jnp.float32), **OF)
    np.testing.assert_allclose(result, np.where(MASK, expected, 0), atol=1e-5)


def test_the_gradient_is_the_slope_of_leaving_a_little_out():
    slope, step = np.zeros((N, K)), 1e-6
    for key in range(K):
        share = np.where(np.arange(K) == key, 1 + step, 1.0) * MASK
        slope[:, key] = (answer(without(share))[1] - answer(weights_of())[1]) / step
    result = measure.gradient_attribution(model, INPUTS, TARGET, **OF)
    np.testing.assert_allclose(result, np.where(MASK, slope, 0), atol=1e-4)


def test_integrated_gradients_follow_the_formula_and_make_up_the_difference():
    steps, expected, step = 16, np.zeros((N, K)), 1e-6
    for alpha in (np.arange(steps) + 0.5) / steps:
        for key in range(K):
            raised = weights_of() * (alpha + step * (np.arange(K) == key))
            slope = (answer(raised)[1] - answer(weights_of() * alpha)[1]) / step
            expected[:, key] += slope / steps
    result = measure.integrated_gradients(model, INPUTS, TARGET, steps=steps, **OF)
    np.testing.assert_allclose(result, np.where(MASK, expected, 0), atol=1e-4)
    ends = answer(weights_of())[1] - answer(0 * weights_of())[1]
    np.testing.assert_allclose(result.sum(-1), ends, atol=1e-3)


def test_swaps_move_the_output_as_they_would_by_hand():
    probabilities = jnp.array(answer(weights_of())[0], jnp.float32)
    drawn = np.random.default_rng(1).dirichlet(np.ones(K), N)
    others = np.repeat(drawn[:, None], Q, 1)
    expected = np.abs(answer(others)[0] - answer(weights_of())[0]).sum(-1) / 2
    result = measure.swap_weights(
        model, INPUTS, probabilities, jnp.array(drawn, jnp.float32), attention="look.weights"
    )
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_permutations_stay_among_the_keys_that_there_are():
    one_key = {"attention": "look.weights", "mask": jnp.arange(K)[None] < jnp.ones((N, 1), int)}
    probabilities = jnp.array(answer(weights_of())[0], jnp.float32)
    still = measure.swap_permuted(model, INPUTS, probabilities, rng=jax.random.key(0), **one_key)
    np.testing.assert_allclose(still, 0, atol=1e-6)
    moved = measure.swap_permuted(
        model, INPUTS, probabilities, rng=jax.random.key(0), draws=64, **OF
    )
    draws = np.random.default_rng(2)
    expected = np.zeros(N)
    for _ in range(2000):
        weights = weights_of()
        for n in range(N):
            exists = np.flatnonzero(MASK[n])
            weights[n][:, exists] = weights[n][:, draws.permutation(exists)]
        expected += np.abs(answer(weights)[0] - answer(weights_of())[0]).sum(-1) / 2 / 2000
    # 64 draws of a quantity within [0, 1] whose spread is at most a quarter.
    np.testing.assert_allclose(moved, expected, atol=0.1)


def test_the_adversary_differs_as_much_as_it_says_and_moves_no_more_than_it_may():
    probabilities = jnp.array(answer(weights_of())[0], jnp.float32)
    values = jnp.array(weights_of().mean(1), jnp.float32)
    result = measure.adversarial_weights(
        model, INPUTS, probabilities, values, rng=jax.random.key(0), tolerance=0.1, **OF
    )
    assert (result.change <= 0.1).all()
    np.testing.assert_allclose(result.weights.sum(-1), 1, atol=1e-5)
    assert (np.asarray(result.weights)[~MASK] == 0).all()
    np.testing.assert_allclose(
        result.divergence, measure.jensen_shannon(result.weights, values), atol=1e-6
    )
    again = measure.swap_weights(
        model, INPUTS, probabilities, result.weights, attention="look.weights"
    )
    np.testing.assert_allclose(result.change, again, atol=1e-5)


def test_where_the_output_ignores_the_weights_the_adversary_takes_the_furthest_map():
    def ignores(inputs):
        weights = hooks.tap("look.weights", jax.nn.softmax(inputs))
        return inputs[..., :2] + 0 * weights.sum(-1, keepdims=True)

    inputs = jnp.tile(jnp.array([[9.0, 0, 0, 0, 0]]), (3, 1))
    values = jax.nn.softmax(inputs)
    result = measure.adversarial_weights(
        ignores,
        inputs,
        jax.nn.softmax(inputs[:, :2]),
        values,
        rng=jax.random.key(0),
        attention="look.weights",
        mask=jnp.ones((3, 5), bool),
    )
    assert (result.divergence > 0.95).all()


BINARY = jnp.array([0, 1, 1, 0, 1])
PLACES = measure.rank_keys(jnp.array(VALUES[..., 1]), OF["mask"], rng=jax.random.key(5))


def one_logit(inputs):
    return model(inputs)[:, :1]


def two_logits(inputs):
    half = one_logit(inputs) / 2
    return jnp.concatenate([-half, half], -1)


@pytest.mark.parametrize("output", [one_logit, lambda inputs: one_logit(inputs)[:, 0]])
def test_a_single_logit_is_a_sigmoid(output):
    logit = np.einsum("nqk,nk->n", weights_of(), np.float64(VALUES[..., 0]))
    positive = 1 / (1 + np.exp(-logit))
    result = measure.run_reweighed(output, "look.weights", lambda weights: weights)(INPUTS)
    np.testing.assert_allclose(result, np.stack([1 - positive, positive], -1), atol=1e-6)


@pytest.mark.parametrize(
    "measured",
    [
        lambda fn, p: measure.erase(fn, INPUTS, PLACES, BINARY, **OF).deleted,
        lambda fn, p: measure.erase(fn, INPUTS, PLACES, BINARY, **OF).inserted,
        lambda fn, p: measure.leave_one_out(fn, INPUTS, BINARY, p[:, 1], **OF),
        lambda fn, p: measure.gradient_attribution(fn, INPUTS, BINARY, **OF),
        lambda fn, p: measure.integrated_gradients(fn, INPUTS, BINARY, **OF),
        lambda fn, p: measure.swap_permuted(fn, INPUTS, p, rng=jax.random.key(0), **OF),
        lambda fn, p: measure.swap_weights(
            fn, INPUTS, p, measure.equal_weights(OF["mask"]), attention="look.weights"
        ),
    ],
    ids=["deletion", "insertion", "left_out", "gradient", "integrated", "permuted", "uniform"],
)
def test_a_single_logit_is_measured_as_two(measured):
    probabilities = jax.nn.softmax(two_logits(INPUTS))
    result = measured(one_logit, probabilities)
    assert np.abs(result).max() > 1e-3
    np.testing.assert_allclose(result, measured(two_logits, probabilities), atol=1e-6)


def test_probabilities_of_a_single_logit_need_both_classes(unchecked):
    message = f"probabilities has shape ({N}, 1), but the model gives ({N}, 2)"
    with pytest.raises(ValueError, match=re.escape(message)):
        measure.swap_permuted(
            one_logit, INPUTS, jax.nn.sigmoid(one_logit(INPUTS)), rng=jax.random.key(0), **OF
        )


@pytest.mark.parametrize(
    ("call", "takes"),
    [
        (lambda rng: measure.rank_keys(jnp.zeros((N, K)), OF["mask"], rng), "2 (values, mask)"),
        (lambda rng: measure.bootstrap(jnp.zeros(N), rng), "1 (values)"),
        (lambda rng: measure.random_links(rng, jnp.ones(N, int), (2, 3)), "2 (sources, shape)"),
        (
            lambda rng: measure.swap_permuted(model, INPUTS, jnp.zeros((N, C)), rng, **OF),
            "3 (fn, inputs, probabilities)",
        ),
        (
            lambda rng: measure.adversarial_weights(
                model, INPUTS, jnp.zeros((N, C)), jnp.zeros((N, K)), rng, **OF
            ),
            "4 (fn, inputs, probabilities, values)",
        ),
    ],
)
def test_an_rng_by_position_is_refused_with_the_way_out(call, takes):
    with pytest.raises(TypeError, match=re.escape(f"{takes}; pass rng=... by keyword.")):
        call(jax.random.key(0))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("adversarial_shares", "adversarial_weights"),
        ("equal_shares", "equal_weights"),
        ("share_out", "set_weights"),
        ("swap_shares", "swap_weights"),
    ],
)
def test_an_old_name_is_answered_with_the_new_one(old, new):
    with pytest.raises(ImportError, match=rf"measure\.{old} is now called attn_jax.measure.{new}"):
        getattr(measure, old)
    assert new in measure.__all__
