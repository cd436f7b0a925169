"""A case for each public function of `measure`: formulas in float64, or what must always hold."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from cases import (
    B,
    Case,
    D,
    E,
    H,
    K,
    Q,
    are_distributions,
    close,
    double,
    draws,
    equal,
    floats,
    mask,
    pick,
    softmax64,
    weights,
)
from cases_ops import TYPES
from scipy import stats

from attn_jax import hooks, measure

N, C = 3, 3
MAPS = (B, H, Q, K)
SQUARE = (B, H, K, K)


def entropy64(weights):
    weights = double(weights)
    return -(weights * np.log(np.where(weights > 0, weights, 1))).sum(-1)


def divergence64(first, second):
    first, second = double(first), double(second)
    middle = (first + second) / 2
    return (entropy64(middle) - (entropy64(first) + entropy64(second)) / 2) / math.log(2)


def mean64(values, query_mask=None):
    if query_mask is None:
        return values.mean(-1)
    exists = np.broadcast_to(query_mask, values.shape)
    return (values * exists).sum(-1) / exists.sum(-1)


def queries(draw):
    """No mask, or one that leaves every map a query."""
    return draw.some(Q) if draw.pick(True, False) else None


def keys(draw):
    return {"weights": draw.weights(*MAPS), "query_mask": queries(draw)}


# A model with two heads, whose answer is a formula.


def model(inputs):
    scores, values = inputs
    scores = hooks.tap("look.scores", scores)
    weights = hooks.tap("look.weights", jax.nn.softmax(scores))
    return (weights.sum((1, 2))[:, None] @ values)[:, 0]


def weights_of(inputs):
    return softmax64(double(inputs[0]))


def answer(weights, inputs):
    return softmax64((weights.sum((1, 2))[:, None] @ double(inputs[1]))[:, 0])


def inputs(draw):
    return draw.floats(N, H, Q, K), draw.floats(N, K, C)


def runs(**parameters):
    """The model, its inputs, and a target for each example."""

    def arguments(draw):
        drawn = {"inputs": inputs(draw)}
        if "target" in parameters:
            drawn["target"] = draw.rng().integers(0, C, N)
        if "mask" in parameters:
            drawn["mask"] = (
                np.arange(K) < np.array([K, 3, 1])[:, None]
                if draw.pick(0, 1)
                else np.ones((N, K), bool)
            )
        if "probabilities" in parameters:
            drawn["probabilities"] = answer(weights_of(drawn["inputs"]), drawn["inputs"]).astype(
                np.float32
            )
        drawn |= {n: part(draw) for n, part in parameters.items() if callable(part)}
        return drawn

    return arguments


def rng(draw):
    return jax.random.key(draw.pick(0, 1, 2))


def of_model(function, **arguments):
    return function(model, **arguments)


def of_target(probabilities, target):
    return np.take_along_axis(probabilities, np.asarray(target)[:, None], -1)[:, 0]


def kept(weights, keep, renormalize=True):
    rest = weights * keep[:, None, None]
    total = rest.sum(-1, keepdims=True)
    return rest / np.where(total == 0, 1, total) if renormalize else rest


def check_erase(result, inputs, places, target, mask, fractions):
    count = np.ceil(np.outer(mask.sum(-1), fractions) - 1e-6)
    for f in range(len(fractions)):
        removed = places < count[:, f, None]
        for keep, given in ((mask & ~removed, result.deleted), (mask & removed, result.inserted)):
            close(
                given[:, f], of_target(answer(kept(weights_of(inputs), keep), inputs), target), 1e-3
            )


# A score that is a table over all sets of keys, so that each pair and each three may matter.


def game(draw):
    exists = np.arange(K) < np.array([K, 3, 1])[:, None]
    return {"table": draw.floats(2**K), "mask": exists if draw.pick(0, 1) else exists | True}


def of_game(function, table, mask, **options):
    bits = jnp.array(2 ** np.arange(K))
    if table.shape != (2**K,):
        raise ValueError("the table itself does not fit")
    return function(lambda keep: table[keep @ bits], mask=mask, **options)


def scores_of(table, removed, exists):
    """Return the scores as each of the next keys is removed."""
    keep = exists & (removed > np.arange(K)[:, None])
    return double(table)[keep @ 2 ** np.arange(K)]


def check_aopc(result, table, mask, places):
    for area, removed, exists in zip(result, places, mask, strict=True):
        removed = np.argsort(np.argsort(np.where(exists, removed, K), kind="stable"))
        full = double(table)[exists @ 2 ** np.arange(K)]
        close(area, (full - scores_of(table, removed, exists)[: exists.sum()]).mean())


def check_best(result, table, mask, rng, runs):
    for removed, exists in zip(np.asarray(result), mask, strict=True):
        assert sorted(removed) == list(range(K))
        count = exists.sum()
        assert (removed[exists] < count).all()
        orders = (np.argsort([*first, *range(count, K)]) for first in permuted(count))
        means = [scores_of(table, order, exists)[:count].mean() for order in orders]
        reached = scores_of(table, removed, exists)[:count].mean()
        assert min(means) - 1e-4 <= reached <= (max(means) if runs else min(means)) + 1e-4


def permuted(count):
    return itertools.permutations(range(count))


def check_shapley(result, table, mask, rng, permutations):
    ends = [double(table)[keep @ 2 ** np.arange(K)] for keep in (mask, mask & False)]
    close(double(result).sum(-1), ends[0] - ends[1], 1e-3)
    equal(np.asarray(result)[~mask], 0)


def shared(draw):
    return {
        "values": draw.weights(N, K),
        "contributions": draw.floats(N, K),
        "mask": draw.mask(N, K),
    }


def shares64(values, mask):
    sizes = np.abs(double(values)) * mask
    total = sizes.sum(-1, keepdims=True)
    return np.where(total > 0, sizes / np.where(total > 0, total, 1), np.nan)


def check_claim(result, values, contributions, mask):
    mass, contribution = shares64(values, mask), shares64(contributions, mask)
    close(result[0], mass.max(-1))
    for n in range(N):
        top = mask[n] & (np.float32(values[n]) == np.where(mask[n], values[n], -1).max())
        known = np.isfinite(mass[n]).all()
        close(result[1][n], contribution[n][top].mean() if known else math.nan)


def places(draw):
    return np.stack([draw.rng().permutation(K) for _ in range(N)]).astype(np.int32)


def erasure(draw):
    curves = {n: draw.rng().random((N, 4)).astype(np.float32) for n in ("deleted", "inserted")}
    fractions, full = (
        np.array([0, 0.25, 0.5, 1], np.float32),
        draw.rng().random(N).astype(np.float32),
    )
    return {"erasure": measure.Erasure(fractions, **curves, full=full)}


BINS = draws(bins=pick((0.25, 1.0), (0.5,)))


def fall(curves):
    def check(result, erasure, bins):
        columns = [np.flatnonzero(double(erasure.fractions) == each)[0] for each in bins]
        close(
            result, (double(erasure.full)[:, None] - double(curves(erasure))[:, columns]).mean(-1)
        )

    return check


def area(curves):
    return lambda result, erasure: close(
        result, np.trapezoid(double(curves(erasure)), double(erasure.fractions), axis=-1)
    )


def check_leave_one_out(result, inputs, target, full, mask, renormalize):
    whole = weights_of(inputs)
    for k in range(K):
        keep = mask & (np.arange(K) != k)
        probability = of_target(answer(kept(whole, keep, renormalize), inputs), target)
        close(result[:, k], np.where(mask[:, k], double(full) - probability, 0), 1e-3)


def check_integrated(result, inputs, target, mask, steps):
    """Completeness: the keys share out the difference between the ends of the path."""
    if mask.all():
        whole = weights_of(inputs)
        ends = [of_target(answer(x, inputs), target) for x in (whole, 0 * whole)]
        np.testing.assert_allclose(double(result).sum(-1), ends[0] - ends[1], atol=0.05)
    assert np.isfinite(np.asarray(result)).all()
    equal(np.asarray(result)[~mask], 0)


def check_gradient(result, inputs, target, mask, renormalize):
    """The gradient of the target's probability by each key's log-weight, by differences."""
    whole = weights_of(inputs)
    for k in range(K):
        sides = []
        for step in (1e-4, -1e-4):
            scaled = whole * np.exp(step * (np.arange(K) == k))
            scaled = scaled / scaled.sum(-1, keepdims=True) if renormalize else scaled
            sides.append(of_target(answer(scaled, inputs), target))
        close(result[:, k], np.where(mask[:, k], (sides[0] - sides[1]) / 2e-4, 0), 1e-3)


def check_swap(result, inputs, probabilities, weights):
    rows = np.broadcast_to(double(weights)[:, None, None], (N, H, Q, K))
    close(result, np.abs(answer(rows, inputs) - probabilities).sum(-1) / 2)


def check_permuted(result, inputs, probabilities, rng, mask, draws):
    result = double(result)
    assert result.shape == (N,)
    assert ((result >= -1e-6) & (result <= 1 + 1e-6)).all()
    close(np.where(mask.sum(-1) == 1, result, 0), np.zeros(N))


def check_adversary(result, inputs, probabilities, values, rng, mask, steps):
    are_distributions(result.weights)
    close(result.divergence, divergence64(result.weights, values), 1e-3)
    rows = np.broadcast_to(double(result.weights)[:, None, None], (N, H, Q, K))
    # The map itself, where no other was found, counts as no change.
    change = np.abs(answer(rows, inputs) - probabilities).sum(-1) / 2
    close(result.change, np.where(double(result.divergence) > 0, change, 0), 1e-3)


def maps_of(draw):
    return {"values": draw.weights(N, K)}


def losses(weights, inputs, target):
    return -np.log(np.maximum(of_target(answer(weights, inputs), target), 1e-300))


def check_ablation(result, inputs, target):
    whole = weights_of(inputs)
    for h in range(H):
        without = losses(whole * (np.arange(H) != h)[:, None, None], inputs, target).mean()
        close(result["look.weights"][h], without - losses(whole, inputs, target).mean(), 1e-3)


def check_importance(result, inputs, target):
    whole = weights_of(inputs)
    for h in range(H):
        is_head = (np.arange(H) == h)[:, None, None]
        sides = [losses(whole * (1 + step * is_head), inputs, target) for step in (1e-4, -1e-4)]
        close(result["look.weights"][h], np.abs((sides[0] - sides[1]) / 2e-4).mean(), 2e-3)


def check_atman(result, inputs, target, mask, factor, edited):
    whole = weights_of(inputs)
    for k in range(K):
        scale = 1 - factor * (np.arange(K) == k)
        scores = double(inputs[0]) * scale
        changed = softmax64(scores) if edited == "scores" else kept(whole, scale[None])
        rise = losses(changed, inputs, target) - losses(whole, inputs, target)
        close(result[:, k], np.where(mask[:, k], rise, 0), 1e-3)


def check_lrp(result, inputs, target):
    """Weights and values get half each; what weights get goes through softmax."""
    scores, values = map(double, inputs)
    whole = weights_of(inputs)
    chosen = np.take_along_axis(values, np.asarray(target)[:, None, None], -1)[..., 0]
    gains = np.broadcast_to(chosen[:, None, None] / 2, whole.shape)
    through = scores * whole * (gains - (whole * gains).sum(-1, keepdims=True))
    close(result[0], through, 1e-3)
    is_target = np.arange(C) == np.asarray(target)[:, None, None]
    close(result[1], values * is_target * whole.sum((1, 2))[..., None] / 2, 1e-3)


def check_pruning(result, inputs, target, importance, rng, draws):
    whole = weights_of(inputs)
    equal(result.share, np.float32([0, 0.5, 1]))
    # Equal logits are decided by rounding.
    top = np.sort(answer(whole, inputs), -1)
    if (top[:, -1] - top[:, -2] > 1e-3).all():
        right = (answer(whole, inputs).argmax(-1) == target).mean()
        close([result.accuracy[0], result.random[0]], [right, right])
    assert ((np.asarray(result.random) >= 0) & (np.asarray(result.random) <= 1)).all()


def card(draw):
    return {"inputs": inputs(draw), "rng": rng(draw)}


def check_card(result, inputs, rng):
    assert list(result.answers) == ["depends", "ranks", "mass"]
    assert result.reads == "unclear"  # there are too few examples
    assert [line.name for line in result.lines[:3]] == ["through", "permuted", "ranking"]
    assert result.examples == N
    assert result.keys == K
    assert isinstance(str(result), str)


def check_soft(result, inputs, target, mask, values, rng, draws):
    assert result.shape == (N,)
    whole, without = (
        of_target(answer(weights_of(inputs) * keep[:, None, None], inputs), target)
        for keep in (np.asarray(mask), np.zeros_like(mask))
    )
    assert np.isnan(np.asarray(result))[whole < without - 1e-6].all()
    assert np.isfinite(np.asarray(result))[whole > without + 1e-6].all()


def check_cards(result, inputs):
    assert result.ablation.shape == result.overlap.shape == (1, H)
    assert result.examples == N
    # The heads are added up, so that their shares are the whole.
    score = np.abs(answer(weights_of(inputs), inputs)).max()
    if score > 1e-3 and np.isfinite(result.share).all() and np.abs(result.share).max() < 100:
        close(result.share.sum(), 1.0, 1e-2)


def reweighed(function, inputs, change):
    return function(model, "look.weights", change)(inputs)


def doubled_first(weights):
    return weights * jnp.array([2.0, 1, 1, 1, 1]).reshape(1, 1, 1, K)


def change(**parts):
    """A change of weights (N, H, Q, K)."""
    return draws(weights=weights(N, H, Q, K), **parts)


def permutations(draw):
    return np.stack([draw.rng().permutation(K) for _ in range(N)]).astype(np.int32)


def check_received(result, inputs, query):
    output, values = result
    whole = weights_of(inputs)
    close(values, (whole if query is None else whole[:, :, [query]]).mean((1, 2)))
    close(softmax64(double(output)), answer(whole, inputs))


# Patterns and agreement.


def tau64(first, second, exists):
    results = []
    for one, other, known in zip(first, second, exists, strict=True):
        one, other = one[known], other[known]
        signs = [
            [
                np.sign(float(x[i]) - float(x[j]))
                for i, j in itertools.combinations(range(len(x)), 2)
            ]
            for x in (one, other)
        ]
        untied = [np.abs(side).sum() for side in signs]
        total = np.dot(*signs) if signs[0] else 0.0
        results.append(total / math.sqrt(untied[0] * untied[1]) if min(untied) else math.nan)
    return np.array(results)


def check_ranking(result, first, second, mask, rng, draws):
    taus = tau64(first, second, mask)
    close(result.tau, taus)
    assert (np.asarray(result.p_value)[np.isnan(taus)] == 1).all()
    assert (np.asarray(result.p_value) >= 1 / (draws + 1) - 1e-6).all()
    assert (np.nan_to_num(result.chance) <= 1 + 1e-6).all()


def auc64(scores, positive, mask):
    pairs = [
        (scores[i] > scores[j]) + (scores[i] == scores[j]) / 2
        for i in np.flatnonzero(positive & mask)
        for j in np.flatnonzero(~positive & mask)
    ]
    return np.mean(pairs) if pairs else math.nan


def check_bootstrap(result, values, rng, draws):
    mean, low, high = map(float, result)
    close(mean, double(values).mean())
    assert values.min() - 1e-4 <= low <= high + 1e-4 <= values.max() + 2e-4


def check_interval(result, values, bounds):
    mean, low, high = map(float, result)
    known = double(values)[~np.isnan(values)]
    close(mean, known.mean() if len(known) else math.nan)
    if len(known) < 2:
        assert (low, high) == (bounds or (-math.inf, math.inf))
        return
    members = np.concatenate([known, bounds or ()])
    error = stats.t.ppf(0.975, len(known) - 1) * members.std(ddof=1) / math.sqrt(len(known))
    ends = np.array([members.mean() - error, members.mean() + error])
    close([low, high], ends.clip(*bounds) if bounds else ends, 1e-3)


def check_sign_flips(result, values, rng, draws):
    numbers = np.nan_to_num(double(values))
    signs = np.array(list(itertools.product((-1, 1), repeat=len(numbers))))
    sums = signs @ numbers
    lowest, highest = (
        (sums >= numbers.sum() + side * 1e-5 * np.abs(numbers).sum()).mean() for side in (1, -1)
    )
    assert lowest - 0.11 <= float(result) <= highest + 0.11


def check_holm(result, p_values):
    for at, p in enumerate(p_values):
        smaller = [q * (p_values >= q).sum() for q in p_values if q <= p]
        close(result[at], min(max(smaller), 1) if smaller else math.nan)


def check_offset(result, weights, offset, query_mask):
    exists = np.ones(Q, bool) if query_mask is None else query_mask
    rows = [q for q in range(Q) if exists[q] and 0 <= q + offset < K]
    expected = np.mean([weights[..., q, q + offset] for q in rows], 0) if rows else np.zeros((B, H))
    close(result, expected)


def check_positional(result, weights, query_mask):
    exists = np.ones(Q, bool) if query_mask is None else query_mask
    offsets = (weights.argmax(-1) - np.arange(Q))[..., exists]
    for at in np.ndindex(B, H):
        values, counts = np.unique(offsets[at], return_counts=True)
        close(result[0][at], counts.max() / exists.sum())
        assert int(result[1][at]) in values[counts == counts.max()]


def check_clusters(result, similarity, clusters):
    assert result.shape == (4,)
    assert result.max() < clusters
    firsts = [int(np.flatnonzero(result == group)[0]) for group in range(result.max() + 1)]
    assert firsts == sorted(firsts)


def similarity(draw):
    rows = draw.weights(4, K)
    return {
        "similarity": 1 - divergence64(rows[:, None], rows[None]),
        "clusters": draw.pick(1, 2, 4),
    }


# Layers.


def layers(draw):
    return [draw.weights(*SQUARE) for _ in range(draw.pick(1, 3))]


def mixed64(layer, residual):
    mixed = (1 - residual) * double(layer).mean(-3) + residual * np.eye(K)
    return mixed / mixed.sum(-1, keepdims=True)


def check_rollout(result, weights, residual):
    rolled = np.eye(K)
    for layer in weights:
        rolled = mixed64(layer, residual) @ rolled
    close(result, np.broadcast_to(rolled, (B, K, K)))


def check_flow(result, weights, residual, queries):
    """No token gets more than flows out of the query, nor more than the last layers let through."""
    assert result.shape == (len(queries), K)
    assert (result >= 0).all()
    assert (result <= 1 + 1e-4).all()
    if len(weights) == 1:
        close(result, mixed64(weights[0], residual)[list(queries)])
    first = mixed64(weights[0], residual)
    assert (result <= first.sum(0) + 1e-4).all()


def grads(draw, shape=SQUARE, count=2):
    return [draw.floats(*shape) for _ in range(count)]


def positive(weights, gradients):
    return np.maximum(double(weights) * double(gradients), 0).mean(-3)


def check_self(result, weights, gradients):
    relevance = np.broadcast_to(np.eye(K), (B, K, K))
    for w, g in zip(weights, gradients, strict=True):
        relevance = relevance + positive(w, g) @ relevance
    close(result, relevance)


def beyond(relevance):
    rest = relevance - np.eye(relevance.shape[-1])
    total = rest.sum(-1, keepdims=True)
    return rest / np.where(total == 0, 1, total) + np.eye(relevance.shape[-1])


def cross(draw):
    shape = (B, H, Q, Q), MAPS
    drawn = {}
    for name, each in zip(("self", "cross"), shape, strict=True):
        drawn[f"{name}_weights"] = [draw.weights(*each) for _ in range(2)]
        drawn[f"{name}_gradients"] = grads(draw, each)
    return drawn | {"source": np.abs(draw.floats(B, K, K)) + np.eye(K, dtype=np.float32)}


def check_cross(result, self_weights, self_gradients, cross_weights, cross_gradients, source):
    own, other = np.broadcast_to(np.eye(Q), (B, Q, Q)), np.zeros((B, Q, K))
    for w, g, cw, cg in zip(
        self_weights, self_gradients, cross_weights, cross_gradients, strict=True
    ):
        step = positive(w, g)
        own, other = own + step @ own, other + step @ other
        other = other + beyond(own).swapaxes(-1, -2) @ (positive(cw, cg) @ beyond(double(source)))
    close(result[0], own, 1e-3)
    close(result[1], other, 1e-3)


def co_layers(draw):
    steps = {"one_other": (B, Q, K), "other_one": (B, K, Q), "one": (B, Q, Q), "other": (B, K, K)}
    count = draw.pick(1, 2)
    return {
        "layers": [
            measure.CoLayer(
                **{n: draw.weights(*s) for n, s in steps.items() if draw.pick(True, False)}
            )
            for _ in range(count)
        ],
        "one": np.broadcast_to(np.eye(Q, dtype=np.float32), (B, Q, Q)),
        "other": np.broadcast_to(np.eye(K, dtype=np.float32), (B, K, K)),
    }


def check_co(result, layers, one, other):
    a, b, ab, ba = double(one), double(other), np.zeros((B, Q, K)), np.zeros((B, K, Q))
    turn = lambda x: beyond(x).swapaxes(-1, -2)  # noqa: E731
    for layer in layers:
        a0, b0, ab0, ba0 = a, b, ab, ba
        if layer.one_other is not None:
            step = double(layer.one_other)
            a, ab = a + step @ ba0, ab + turn(a0) @ (step @ beyond(b0))
        if layer.other_one is not None:
            step = double(layer.other_one)
            b, ba = b + step @ ab0, ba + turn(b0) @ (step @ beyond(a0))
        if layer.one is not None:
            a, ab = a + double(layer.one) @ a, ab + double(layer.one) @ ab
        if layer.other is not None:
            b, ba = b + double(layer.other) @ b, ba + double(layer.other) @ ba
    for given, expected in zip(result, (a, b, ab, ba), strict=True):
        close(given, expected, 1e-3)


def contributions(weights, value, w_out):
    return np.einsum("bhqk,bkhd,hdm->bqkm", double(weights), double(value), double(w_out))


def block(draw):
    drawn = {"weights": draw.weights(*SQUARE), "value": draw.floats(B, K, H, D)}
    drawn |= {"w_out": draw.floats(H, D, E)}
    return drawn | {"residual": draw.floats(B, K, E) if draw.pick(True, False) else None}


def check_block(result, weights, value, w_out, residual):
    parts = contributions(weights, value, w_out)
    if residual is not None:
        parts = parts + np.eye(K)[..., None] * double(residual)[:, :, None]
    close(result.norms, np.linalg.norm(parts, axis=-1))
    own = parts[:, range(K), range(K)]
    others, itself = (np.linalg.norm(x, axis=-1) for x in (parts.sum(2) - own, own))
    both = others + itself
    is_clear = both > 1e-3
    close(
        np.where(is_clear, result.mixing, 0),
        np.where(is_clear, others / np.where(is_clear, both, 1), 0),
        1e-3,
    )


def links(draw):
    drawn = {n: draw.mask(B, Q, K) for n in ("guess", "sure", "possible")}
    return drawn | {"mask": draw.mask(B, Q) if draw.pick(True, False) else None}


def check_counts(result, guess, sure, possible, mask):
    exists = np.ones((B, Q), bool) if mask is None else mask
    guess, sure, possible = (x & exists[..., None] for x in (guess, sure, possible | sure))
    unlinked = guess & ~possible.any(-1, keepdims=True)
    expected = (guess, sure, guess & sure, guess & possible, unlinked)
    for given, links in zip(result, expected, strict=True):
        equal(given, links.sum((-2, -1)))


def pieces(draw):
    return {
        "weights": draw.weights(*MAPS),
        "source_words": draw.pick(
            np.array([0, 0, 1, 2, 2]), np.array([[-1, 0, 0, 1, -1], [0, 1, 2, 3, 4]])
        ),
        "target_words": draw.pick(np.array([0, 1, 1]), np.array([0, 1, -1])),
    }


def check_pieces(result, weights, source_words, target_words):
    sources, targets = source_words.max() + 1, target_words.max() + 1
    assert result.shape == (B, H, targets, sources)
    for n, t, s in np.ndindex(B, targets, sources):
        of_source = np.broadcast_to(source_words, (B, K))[n] == s
        rows = double(weights)[n][:, target_words == t]
        close(result[n, :, t, s], rows[..., of_source].sum(-1).mean(-1))


def check_similarity(result, source, target, method):
    """Links are one to one, but for `itermax`, and `match` leaves no word of the fewer alone."""
    assert result.shape == (Q, K)
    if method != "itermax":
        assert result.sum(0).max() <= 1
        assert result.sum(1).max() <= 1
    assert result.sum() == min(Q, K) or method != "match"
    rows, columns = (
        x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-30) for x in (target, source)
    )
    cosines = double(rows) @ double(columns).T
    if method == "inter":
        for t, s in np.argwhere(result):
            assert cosines[t, s] >= max(cosines[t].max(), cosines[:, s].max()) - 1e-5


def check_symmetrized(result, forward, backward, method):
    """Every way lies between the intersection and the union."""
    assert not (result & ~(forward | backward)).any()
    assert not (forward & backward & ~result).any()
    if method == "intersection":
        equal(result, forward & backward)
    if method == "union":
        equal(result, forward | backward)
    if method == "grow-diag-final":
        equal(result.any(-1), (forward | backward).any(-1))
        equal(result.any(-2), (forward | backward).any(-2))


def check_massive(result, states, mask, least, ratio):
    for n in range(B):
        sizes = np.abs(double(states[n])[mask[n]])
        if not sizes.size:
            assert np.isnan([result.median[n], result.largest[n]]).all()
            assert not result.is_massive[n].any()
            continue
        close([result.median[n], result.largest[n]], [np.median(sizes), sizes.max()])
        # Numbers on the boundary are decided by rounding.
        is_near = np.isclose(sizes, ratio * np.median(sizes), rtol=1e-4)
        expected = (sizes > least) & (sizes >= ratio * np.median(sizes))
        equal((np.asarray(result.is_massive[n])[mask[n]] != expected) & ~is_near, False)


def check_seeds(result, maps, mask, rng, draws):
    pairs = list(itertools.combinations(range(3), 2))
    close(result.pair_divergences, [divergence64(maps[i], maps[j]).mean() for i, j in pairs])
    taus = np.array([tau64(maps[i], maps[j], mask) for i, j in pairs])
    for row, given in zip(taus, result.pair_taus, strict=True):
        close(given, np.mean(row[~np.isnan(row)]) if not np.isnan(row).all() else np.nan)
    low, high = result.divergence_interval
    assert low <= high
    assert low - 1e-4 <= result.divergence <= high + 1e-4 or N < 8


def check_sinks(result, weights, threshold):
    means = np.stack([double(layer)[..., 0].mean(-1) for layer in weights])
    if (np.abs(means - threshold) > 1e-6).all():
        close(result, (means > threshold).mean((0, 2)))


def lengths(draw):
    return draw.pick(np.array([1, 3], np.int32), np.array([3, 5], np.int32))


def check_random_links(result, sources, shape, rng):
    equal(np.asarray(result).sum(-1), 1)
    assert (np.asarray(result).argmax(-1) < sources[:, None]).all()


def check_diagonal(result, targets, sources, shape):
    for n, row in np.ndindex(len(targets), shape[0]):
        place = (2 * row + 1) * sources[n] // (2 * targets[n])
        expected = (np.arange(shape[1]) == place) & (row < targets[n])
        equal(result[n][row], expected)


def check_monotonic(result, weights):
    for links, scores in zip(np.asarray(result), double(weights), strict=True):
        rows = links.argmax(0)
        equal(links.sum(0), 1)
        assert (rows[0], rows[-1]) == (0, len(links) - 1)
        assert set(np.diff(rows)) <= {0, 1}
        # Every way to give the columns, in order, to the rows.
        best = max(
            sum(block[row].sum() for row, block in enumerate(np.split(scores, list(cut), axis=-1)))
            for cut in itertools.combinations(range(1, K), len(links) - 1)
        )
        close((scores * links).sum(), best)


def check_ranks(result, values, mask, rng):
    for row, places, exists in zip(values, np.asarray(result), mask, strict=True):
        assert sorted(places) == list(range(K))
        order = np.argsort(places)
        assert (np.diff(exists[order].astype(int)) <= 0).all()
        assert (np.diff(row[order][: exists.sum()]) <= 0).all()


def largest(function, weights, top_k):
    return function(top_k)(weights)


def check_largest(result, weights, top_k):
    values, indices = result
    equal(values, -np.sort(-weights, -1)[..., :top_k])
    equal(values, np.take_along_axis(weights, np.asarray(indices), -1))


def rows_of(function, weights, block):
    return hooks.capture(
        lambda w: hooks.tap("weights", w), {"weights": function(hooks.entropy, block)}
    )(weights)


REDUCERS = {
    "entropy": Case(
        draws(weights=weights(*MAPS)), lambda result, weights: close(result, entropy64(weights))
    ),
    "mean_heads": Case(
        draws(weights=weights(*MAPS)),
        lambda result, weights: close(result, double(weights).mean(-3)),
    ),
    "row_blocked": Case(
        draws(weights=weights(*MAPS), block=pick(1, 2, 9)),
        lambda result, weights, block: close(result[1]["weights"], entropy64(weights)),
        rows_of,
    ),
    "top_k": Case(draws(weights=weights(*MAPS), top_k=pick(0, 1, K)), check_largest, largest),
}

MEASURE = (
    REDUCERS
    | dict.fromkeys(
        (
            "Adversary",
            "AlignmentCounts",
            "BlockNorms",
            "Answer",
            "CardLine",
            "CoLayer",
            "CoRelevance",
            "Drift",
            "Erasure",
            "HeadCards",
            "MassiveActivations",
            "PruningCurve",
            "RankingAgreement",
            "ReportCard",
            "SeedAgreement",
        ),
        TYPES,
    )
    | {
        "adversarial_weights": Case(
            lambda d: (
                runs(probabilities=0, mask=0, rng=rng)(d)
                | maps_of(d)
                | {"steps": 3, "mask": np.ones((N, K), bool)}
            ),
            check_adversary,
            of_model,
        ),
        "alignment_counts": Case(links, check_counts),
        "aopc": Case(lambda d: game(d) | {"places": places(d)}, check_aopc, of_game),
        "apply_lrp_rules": Case(
            runs(),
            lambda result, inputs: close(
                softmax64(double(result)), answer(weights_of(inputs), inputs)
            ),
            lambda function, inputs: function(model)(inputs),
        ),
        "argmax_links": Case(
            draws(weights=weights(B, Q, K)),
            lambda result, weights: equal(result, np.arange(K) == weights.argmax(-1)[..., None]),
        ),
        "attention_distance": Case(
            draws(weights=weights(*MAPS), query_offset=pick(0, 2)),
            lambda result, weights, query_offset: close(
                result,
                (double(weights) * np.abs(np.arange(K) - np.arange(Q)[:, None] - query_offset)).sum(
                    -1
                ),
            ),
        ),
        "attention_gradients": Case(
            draws(x=weights(*MAPS), factor=floats(*MAPS)),
            lambda result, x, factor: [
                equal(result[0]["weights"], x),
                close(result[1]["weights"], factor),
            ],
            lambda function, x, factor: function(
                lambda x: (hooks.tap("weights", x) * factor).sum(), "weights"
            )(x),
        ),
        "best_order": Case(
            lambda d: game(d) | {"rng": rng(d), "runs": d.pick(None, 20)}, check_best, of_game
        ),
        "atman": Case(
            runs(target=0, mask=0, factor=pick(0.9, -1.0), edited=pick("scores", "weights")),
            check_atman,
            of_model,
        ),
        "attn_lrp": Case(runs(target=0), check_lrp, of_model),
        "block_norms": Case(block, check_block),
        "bootstrap": Case(draws(values=floats(7), rng=rng, draws=pick(50)), check_bootstrap),
        "cluster_heads": Case(similarity, check_clusters),
        "co_relevance": Case(co_layers, check_co),
        "comprehensiveness": Case(lambda d: erasure(d) | BINS(d), fall(lambda e: e.deleted)),
        "cross_relevance": Case(cross, check_cross),
        "deception_penalty": Case(
            draws(weights=weights(B, Q, K), impermissible=mask(B, K)),
            lambda result, weights, impermissible: close(
                result,
                -np.log1p(
                    -np.minimum((double(weights) * impermissible[:, None]).sum(-1), 1 - 1e-6)
                ).mean(),
                0.05,
            ),
        ),
        "deletion_auc": Case(erasure, area(lambda e: e.deleted)),
        "diagonal_links": Case(
            draws(targets=lengths, sources=lengths, shape=pick((3, 5), (5, 6))), check_diagonal
        ),
        "drift": Case(
            draws(before=weights(*MAPS), after=weights(*MAPS), query_mask=queries),
            lambda result, before, after, query_mask: [
                close(result.divergence, mean64(divergence64(before, after), query_mask)),
                close(result.entropy, mean64(entropy64(after) - entropy64(before), query_mask)),
            ],
        ),
        "effective_keys": Case(
            draws(weights=weights(*MAPS)),
            lambda result, weights: close(result, np.exp(entropy64(weights))),
        ),
        "equal_weights": Case(
            draws(mask=mask(N, K)),
            lambda result, mask: close(result, mask / np.maximum(mask.sum(-1, keepdims=True), 1)),
        ),
        "erase": Case(
            runs(target=0, mask=0, places=places, fractions=pick((0.0, 0.5, 1.0))),
            check_erase,
            of_model,
        ),
        "flow": Case(
            lambda d: {
                "weights": [d.weights(H, K, K) for _ in range(d.pick(1, 2))],
                "residual": d.pick(0.0, 0.5),
                "queries": d.pick((0,), (1, K - 1)),
            },
            check_flow,
        ),
        "gradient_attention": Case(
            draws(weights=weights(*MAPS), gradients=floats(*MAPS)),
            lambda result, weights, gradients: close(result, positive(weights, gradients)),
        ),
        "gradient_attribution": Case(
            runs(target=0, mask=0, renormalize=pick(True, False)), check_gradient, of_model
        ),
        "head_ablation": Case(runs(target=0), check_ablation, of_model),
        "head_importance": Case(runs(target=0), check_importance, of_model),
        "head_similarity": Case(
            keys,
            lambda result, weights, query_mask: close(
                result,
                1 - mean64(divergence64(weights[:, :, None], weights[:, None]), query_mask),
            ),
        ),
        "holm": Case(
            lambda d: {"p_values": np.where(d.mask(7), d.rng().random(7), np.nan)},
            check_holm,
        ),
        "insertion_auc": Case(erasure, area(lambda e: e.inserted)),
        "integrated_gradients": Case(
            runs(target=0, mask=0, steps=pick(64)), check_integrated, of_model
        ),
        "jensen_shannon": Case(
            draws(first=weights(*MAPS), second=weights(*MAPS)),
            lambda result, first, second: close(result, divergence64(first, second)),
        ),
        "keep_keys": Case(
            change(keep=mask(N, K), renormalize=pick(True, False)),
            lambda result, weights, keep, renormalize: close(
                result, kept(double(weights), keep, renormalize)
            ),
            lambda function, weights, keep, renormalize: function(keep, renormalize=renormalize)(
                weights
            ),
        ),
        "kendall_tau": Case(
            draws(first=floats(N, K), second=floats(N, K), mask=mask(N, K)),
            lambda result, first, second, mask: close(result, tau64(first, second, mask)),
        ),
        "leave_one_out": Case(
            runs(
                target=0,
                mask=0,
                renormalize=pick(True, False),
                full=lambda d: d.rng().random(N).astype(np.float32),
            ),
            check_leave_one_out,
            of_model,
        ),
        "mass_on_object": Case(
            draws(values=weights(N, K), objects=mask(N, K)),
            lambda result, values, objects: close(result, (double(values) * objects).sum(-1)),
        ),
        "mass_overlap": Case(
            shared,
            lambda result, values, contributions, mask: close(
                result,
                np.minimum(shares64(values, mask), shares64(contributions, mask)).sum(-1),
            ),
        ),
        "mean_interval": Case(
            lambda d: {
                "values": np.where(d.mask(7), d.floats(7), np.nan).astype(np.float32),
                "bounds": d.pick(None, (-20.0, 20.0)),
            },
            check_interval,
        ),
        "merge_subwords": Case(pieces, check_pieces),
        "massive_activations": Case(
            lambda d: {
                "states": d.floats(B, K, D) * d.pick(1, 100),
                "mask": d.mask(B, K),
                "least": d.pick(0.0, 100.0),
                "ratio": d.pick(3.0, 1000.0),
            },
            check_massive,
        ),
        "mean_over_queries": Case(
            lambda d: {"values": d.floats(B, H, Q), "query_mask": queries(d)},
            lambda result, values, query_mask: close(result, mean64(double(values), query_mask)),
        ),
        "monotonic_links": Case(draws(weights=weights(B, Q, K)), check_monotonic),
        "normalized_aopc": Case(
            draws(values=floats(N), reference=floats(N), best=floats(N)),
            lambda result, values, reference, best: close(
                result,
                np.where(
                    best > reference,
                    (double(values) - reference)
                    / np.where(best > reference, double(best) - reference, 1),
                    np.nan,
                ),
                1e-3,
            ),
        ),
        "offset_score": Case(lambda d: keys(d) | {"offset": d.pick(0, -1, 2, 9)}, check_offset),
        "permute_keys": Case(
            change(order=permutations),
            lambda result, weights, order: equal(
                result, np.stack([w[..., o] for w, o in zip(weights, order, strict=True)])
            ),
            lambda function, weights, order: function(order)(weights),
        ),
        "pointing_game": Case(
            draws(values=weights(N, K), objects=mask(N, K)),
            lambda result, values, objects: close(
                result,
                ((top := values == values.max(-1, keepdims=True)) & objects).sum(-1) / top.sum(-1),
            ),
        ),
        "positional_score": Case(keys, check_positional),
        "pruning_curve": Case(
            runs(
                target=0, importance=lambda d: {"look.weights": d.floats(H)}, rng=rng, draws=pick(2)
            ),
            check_pruning,
            of_model,
        ),
        "random_links": Case(
            draws(sources=lengths, shape=pick((Q, K)), rng=rng), check_random_links
        ),
        "randomized": Case(
            draws(kernel=floats(K, D), rng=rng),
            lambda result, kernel, rng: close(np.sort(result, axis=None), np.sort(kernel, None)),
            lambda function, kernel, rng: function(lambda x: x @ kernel, jnp.eye(K), rng=rng)(
                jnp.eye(K)
            ),
        ),
        "rank_keys": Case(draws(values=floats(N, K), mask=mask(N, K), rng=rng), check_ranks),
        "ranking_agreement": Case(
            draws(first=floats(N, K), second=floats(N, K), mask=mask(N, K), rng=rng, draws=pick(9)),
            check_ranking,
        ),
        "received": Case(
            runs(query=pick(None, 1)),
            check_received,
            lambda function, inputs, query: function(model, "look.weights", query=query)(inputs),
        ),
        "removal_shares": Case(
            draws(keys=pick(1, 5, 12, 13, 100)),
            lambda result, keys: equal(np.sort(result), np.array(result)),
        ),
        "report_card": Case(card, check_card, of_model, share=0.1),
        "report_cards": Case(draws(inputs=inputs), check_cards, of_model, share=0.1),
        "roc_auc": Case(
            draws(scores=floats(7), positive=mask(7), mask=mask(7)),
            lambda result, scores, positive, mask: close(result, auc64(scores, positive, mask)),
        ),
        "rollout": Case(
            lambda d: {"weights": layers(d), "residual": d.pick(0.0, 0.5)}, check_rollout
        ),
        "run_reweighed": Case(
            runs(change=pick(doubled_first)),
            lambda result, inputs, change: close(
                result, answer(double(doubled_first(weights_of(inputs))), inputs)
            ),
            reweighed,
        ),
        "seed_agreement": Case(
            draws(maps=weights(3, N, K), mask=mask(N, K), rng=rng, draws=pick(50)), check_seeds
        ),
        "self_relevance": Case(
            lambda d: {"weights": [d.weights(*SQUARE) for _ in range(2)], "gradients": grads(d)},
            check_self,
        ),
        "set_weights": Case(
            change(own=weights(N, K)),
            lambda result, weights, own: close(
                result, np.broadcast_to(double(own)[:, None, None], weights.shape)
            ),
            lambda function, weights, own: function(own)(weights),
        ),
        "shapley_values": Case(
            lambda d: game(d) | {"rng": rng(d), "permutations": 4}, check_shapley, of_game
        ),
        "sign_flip_test": Case(draws(values=floats(7), rng=rng, draws=pick(400)), check_sign_flips),
        "similarity_links": Case(
            draws(
                source=floats(K, D),
                target=floats(Q, D),
                method=pick("inter", "itermax", "match"),
            ),
            check_similarity,
        ),
        "sink_mass": Case(
            draws(weights=weights(*MAPS), sinks=pick(1, K)),
            lambda result, weights, sinks: close(result, double(weights)[..., :sinks].sum(-1)),
        ),
        "sink_rate": Case(
            lambda d: {
                "weights": [d.weights(*MAPS) for _ in range(d.pick(1, 3))],
                "threshold": d.pick(0.125, 0.3),
            },
            check_sinks,
        ),
        "soft_comprehensiveness": Case(
            runs(target=0, mask=0, values=weights(N, K), rng=rng, draws=pick(4)),
            check_soft,
            of_model,
        ),
        "soft_sufficiency": Case(
            runs(target=0, mask=0, values=weights(N, K), rng=rng, draws=pick(4)),
            check_soft,
            of_model,
        ),
        "sufficiency": Case(lambda d: erasure(d) | BINS(d), fall(lambda e: e.inserted)),
        "swap_permuted": Case(
            runs(probabilities=0, mask=0, rng=rng, draws=pick(2)), check_permuted, of_model
        ),
        "swap_weights": Case(runs(probabilities=0, weights=weights(N, K)), check_swap, of_model),
        "symmetrize": Case(
            draws(
                forward=mask(B, Q, K),
                backward=mask(B, Q, K),
                method=pick("intersection", "union", "grow-diag-final", "grow-diag-final-and"),
            ),
            check_symmetrized,
        ),
        "threshold_links": Case(
            draws(weights=weights(B, Q, K), threshold=pick(0.15, 1.0)),
            lambda result, weights, threshold: equal(result, weights >= np.float32(threshold)),
        ),
        "top_key_claim": Case(shared, check_claim),
        "total_variation": Case(
            draws(first=weights(*MAPS), second=weights(*MAPS)),
            lambda result, first, second: close(
                result, np.abs(double(first) - double(second)).sum(-1) / 2
            ),
        ),
        "value_norms": Case(
            draws(weights=weights(*MAPS), value=floats(B, K, H, D), w_out=floats(H, D, E)),
            lambda result, weights, value, w_out: close(
                result,
                double(weights)
                * np.linalg.norm(
                    np.einsum("bkhd,hdm->bhkm", double(value), double(w_out)), axis=-1
                )[:, :, None],
            ),
        ),
        "vertical_score": Case(
            keys,
            lambda result, weights, query_mask: close(
                result, mean64(double(weights).swapaxes(-1, -2), query_mask).max(-1)
            ),
        ),
    }
)
