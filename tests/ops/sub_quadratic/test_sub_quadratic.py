"""Linear, Performer, Linformer and Nyströmformer against NumPy written from their papers."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_jax import ops
from attn_jax.hooks import capture, hook_points, intervene, row_blocked
from attn_jax.ops.sub_quadratic import feature_maps

B, Q, K, D, E, M, P = 2, 5, 7, 3, 11, 13, 4
RNG = np.random.default_rng(5)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


PROJECTION = ops.performer_projection(D, M, rng=jax.random.key(0))
LINFORMER = {"w_key": normal(K, P), "w_value": normal(K, P)}


def share(products):
    return products / (products.sum() or 1)


def linear_row(i, query, key, seen, causal=False):
    phi = lambda x: np.array([v + 1 if v > 0 else math.exp(v) for v in x])  # noqa: E731
    return share(
        np.array(
            [
                phi(query[i]) @ phi(k) * (s and not (causal and j > i))
                for j, (k, s) in enumerate(zip(key, seen, strict=True))
            ]
        )
    )


def performer_row(i, query, key, seen, causal=False):
    omega = np.asarray(PROJECTION, np.float64)

    def phi(x):
        x = x / D**0.25
        return [math.exp(omega[:, r] @ x - x @ x / 2) / math.sqrt(M) for r in range(M)]

    products = [np.dot(phi(query[i]), phi(k)) for k in key]
    hidden = [not s or (causal and j > i) for j, s in enumerate(seen)]
    return share(np.where(hidden, 0, products))


def softmax(scores):
    return share(np.exp(scores))


def linformer_row(i, query, key, seen):
    w_key, w_value = (np.asarray(LINFORMER[name], np.float64) for name in ("w_key", "w_value"))
    combined = [sum(w_key[j, p] * key[j] for j in range(K) if seen[j]) for p in range(P)]
    weights = softmax(np.array([query[i] @ c / math.sqrt(D) for c in combined]))
    return np.array([weights @ w_value[j] if seen[j] else 0 for j in range(K)])


def stretches(tokens):
    """The means of M' stretches of tokens, as equal as can be."""
    n = len(tokens)
    parts = [[t for i, t in enumerate(tokens) if i * 3 // n == m] for m in range(3)]
    return np.array([np.mean(part, axis=0) for part in parts if part])


def nystrom_row(i, query, key, seen):
    of_query, of_key = (
        stretches(list(query)),
        stretches([k for k, s in zip(key, seen, strict=True) if s]),
    )
    visible = np.array([j for j in range(K) if seen[j]])
    scaled = lambda a, b: a @ b.T / math.sqrt(D)  # noqa: E731
    rows = lambda s: np.array([softmax(row) for row in s])  # noqa: E731
    matrix = rows(scaled(of_query, of_key))
    guess = matrix.T / (matrix.sum(1).max() * matrix.sum(0).max())
    eye = np.eye(len(matrix))
    for _ in range(6):
        step = matrix @ guess
        guess = guess @ (13 * eye - step @ (15 * eye - step @ (7 * eye - step))) / 4
    row = np.zeros(K)
    row[visible] = softmax(scaled(query[i], of_key)) @ guess @ rows(scaled(of_query, key[visible]))
    return row


# name: (function, its map, parameters, a row of the map by the paper, whether causal)
FAMILY = {
    "linear": (ops.linear_attention, ops.linear_weights, {}, linear_row),
    "causal linear": (
        ops.linear_attention,
        ops.linear_weights,
        {"causal": True},
        functools.partial(linear_row, causal=True),
    ),
    "performer": (
        ops.performer_attention,
        ops.performer_weights,
        {"projection": PROJECTION},
        performer_row,
    ),
    "causal performer": (
        ops.performer_attention,
        ops.performer_weights,
        {"projection": PROJECTION, "causal": True},
        functools.partial(performer_row, causal=True),
    ),
    "linformer": (ops.linformer_attention, ops.linformer_weights, LINFORMER, linformer_row),
    "nystrom": (
        ops.nystrom_attention,
        ops.nystrom_weights,
        {"num_landmarks": 3},
        nystrom_row,
    ),
}
# The causal Performer has nothing of its own but its formula.
each = pytest.mark.parametrize("name", [name for name in FAMILY if name != "causal performer"])


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Let seven tokens fill more than one block."""
    monkeypatch.setattr(feature_maps, "BLOCK", 3)


def inputs(name):
    queries = K if "causal" in name else Q
    return normal(B, queries, D), normal(B, K, D), normal(B, K, E)


@functools.cache
def parts(name):
    """The attention and its map, each compiled once."""
    function, weights, parameters, _ = FAMILY[name]
    return tuple(jax.jit(functools.partial(f, **parameters)) for f in (function, weights))


def reference(name, query, key, value, seen):
    row = FAMILY[name][3]
    query, key, value = (np.asarray(x, np.float64) for x in (query, key, value))
    weights = np.array(
        [
            [row(i, query[b], key[b], seen[b]) for i in range(query.shape[1])]
            for b in range(len(query))
        ]
    )
    return np.einsum("bqk,bkd->bqd", weights, value), weights


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("masked", [False, True])
def test_it_is_the_formula_of_its_paper(name, masked):
    arrays, (attend, weigh) = inputs(name), parts(name)
    seen = RNG.random((B, K)) < (0.6 if masked else 2)
    seen[:, :3] = True
    expected, expected_weights = reference(name, *arrays, seen)
    mask = {"key_mask": jnp.asarray(seen)} if masked else {}
    np.testing.assert_allclose(weigh(*arrays[:2], **mask), expected_weights, atol=1e-5)
    np.testing.assert_allclose(attend(*arrays, **mask), expected, atol=2e-5)


@functools.cache
def step(name):
    """The context and the gradients of its square."""

    def total(query, key, value, mask):
        context = parts(name)[0](query, key, value, key_mask=mask)
        return (context**2).sum() + context.sum(), context

    return jax.jit(jax.grad(total, argnums=(0, 1, 2), has_aux=True))


@each
def test_nothing_to_attend_to_is_zero_and_has_zero_gradients(name):
    for result in jax.tree.leaves(step(name)(*inputs(name), jnp.zeros((B, K), bool))):
        np.testing.assert_array_equal(result, 0)


@each
def test_what_no_query_may_see_cannot_matter(name):
    query, key, value = inputs(name)
    mask = jnp.broadcast_to(jnp.arange(K) != 2, (B, K))
    clean = step(name)(query, key, value, mask)
    poisoned = step(name)(query, key.at[:, 2].set(jnp.nan), value.at[:, 2].set(jnp.nan), mask)
    jax.tree.map(np.testing.assert_array_equal, clean, poisoned)


@each
def test_gradients_are_what_a_small_step_changes(name):
    arrays, mask = inputs(name), jnp.broadcast_to(jnp.arange(K) != 1, (B, K))
    directions = [normal(*x.shape) for x in arrays]

    def total(step):
        moved = [x + step * d for x, d in zip(arrays, directions, strict=True)]
        context = np.asarray(parts(name)[0](*moved, key_mask=mask), np.float64)
        return (context**2).sum() + context.sum()

    gradients, _ = step(name)(*arrays, mask)
    expected = sum(np.vdot(g, d) for g, d in zip(gradients, directions, strict=True))
    assert (total(1e-3) - total(-1e-3)) / 2e-3 == pytest.approx(expected, rel=1e-2, abs=0.05)


@each
def test_weights_are_hook_points_that_may_be_edited(name):
    arrays, (attend, weigh) = inputs(name), parts(name)
    mask = jnp.broadcast_to(jnp.arange(K) != 1, (B, K))
    attend = functools.partial(attend, key_mask=mask)
    points = [p.name for p in hook_points(attend)(*arrays)]
    assert points == ["query", "key", "value", "weights", "context"]

    @jax.jit
    def look(*arrays):
        total = lambda weights: weights.sum(-1)  # noqa: E731
        doubled = intervene(attend, {"weights": lambda weights, site: 2 * weights})
        moved = intervene(attend, {"query": lambda query, site: query + 1})
        by_rows = capture(attend, {"weights": row_blocked(total, 2)})(*arrays)[1]["weights"]
        return capture(attend)(*arrays), doubled(*arrays), moved(*arrays), by_rows

    (context, captured), doubled, moved, by_rows = look(*arrays)
    np.testing.assert_allclose(captured["weights"], weigh(*arrays[:2], key_mask=mask), atol=1e-6)
    np.testing.assert_allclose(by_rows, captured["weights"].sum(-1), atol=1e-5)
    np.testing.assert_array_equal(captured["context"], context)
    np.testing.assert_allclose(context, attend(*arrays), atol=1e-6)
    np.testing.assert_allclose(doubled, 2 * context, atol=1e-4)
    np.testing.assert_allclose(moved, attend(arrays[0] + 1, *arrays[1:]), atol=1e-4)


@each
def test_vmap_changes_nothing(name):
    arrays, (attend, weigh) = inputs(name), parts(name)
    context, captured = jax.jit(jax.vmap(capture(attend, "weights")))(*arrays)
    np.testing.assert_allclose(context, attend(*arrays), atol=1e-5)
    np.testing.assert_allclose(captured["weights"], weigh(*arrays[:2]), atol=1e-5)


@each
def test_bfloat16_is_computed_in_float32(name):
    """The bound is that of the inputs' own rounding, one part in 256."""
    arrays, (attend, weigh) = inputs(name), parts(name)
    low = [x.astype(jnp.bfloat16) for x in arrays]
    context = attend(*low)
    assert context.dtype == jnp.bfloat16
    assert weigh(*low[:2]).dtype == jnp.float32
    wide = attend(*(x.astype(jnp.float32) for x in low))
    scale = float(jnp.abs(wide).max())
    np.testing.assert_allclose(context.astype(jnp.float32), wide, atol=0.02 * scale)


@pytest.mark.parametrize("name", ["linear", "performer", "nystrom"])
def test_no_keys_give_zeros(name):
    (query, key, value), (attend, weigh) = inputs(name), parts(name)
    np.testing.assert_array_equal(attend(query, key[:, :0], value[:, :0]), np.zeros((B, Q, E)))
    assert weigh(query, key[:, :0]).shape == (B, Q, 0)


@each
def test_memory_is_linear_in_the_tokens(name, monkeypatch):
    monkeypatch.setattr(feature_maps, "BLOCK", 128)
    tokens, dim = 4096, 16
    token, w = jnp.ones((tokens, dim)), jnp.ones((tokens, P))
    parameters = FAMILY[name][2]
    if "projection" in parameters:
        parameters = parameters | {"projection": jnp.ones((dim, 32))}
    if name == "linformer":
        parameters = {"w_key": w, "w_value": w}
    grads = jax.grad(lambda *x: FAMILY[name][0](*x, **parameters).sum(), argnums=(0, 1, 2))
    compiled = jax.jit(grads).lower(token, token, token).compile()
    one_map = 4 * tokens**2
    assert compiled.memory_analysis().temp_size_in_bytes < one_map / 4


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), scale=st.floats(0.01, 20))
@pytest.mark.parametrize("name", ["linear", "performer"])
def test_rows_sum_to_one_or_are_zero_and_follow_the_order_of_the_keys(name, seed, scale):
    rng = np.random.default_rng(seed)
    weigh = parts(name)[1]
    query, key = (np.float32(scale * rng.normal(size=(n, D))) for n in (Q, K))
    mask = rng.random(K) < 0.5
    arrays = (jnp.asarray(query), jnp.asarray(key))
    weights = np.asarray(weigh(*arrays, key_mask=jnp.asarray(mask)))
    sums = weights.sum(-1)
    assert np.all((np.abs(sums - 1) < 1e-5) | (sums == 0))
    assert not weights[:, ~mask].any()
    order = rng.permutation(K)
    ordered = weigh(arrays[0], jnp.asarray(key[order]), key_mask=jnp.asarray(mask[order]))
    np.testing.assert_allclose(ordered, weights[:, order], atol=1e-5)


def test_causal_queries_do_not_depend_on_the_future():
    query, key, value = inputs("causal linear")
    past = lambda *x: parts("causal linear")[0](*x)[:, :4]  # noqa: E731
    changed = past(query, key.at[:, 4:].add(1), value.at[:, 4:].set(9))
    np.testing.assert_array_equal(past(query, key, value), changed)


def test_performer_is_unbiased_and_its_directions_are_orthogonal():
    """Many directions bring the estimate close to softmax attention itself."""
    projection = np.asarray(ops.performer_projection(D, 9_000, rng=jax.random.key(1)))
    np.testing.assert_allclose(
        projection[:, :D].T @ projection[:, :D] * (1 - np.eye(D)), 0, atol=1e-4
    )
    np.testing.assert_allclose(np.cov(projection), np.eye(D), atol=0.07)
    query, key, value = (x / 2 for x in inputs("performer"))
    _, weights = ops.scaled_dot_product_attention(query, key, value)
    estimate = jax.jit(ops.performer_weights)(query, key, projection=jnp.asarray(projection))
    np.testing.assert_allclose(estimate, weights, atol=0.03)


def test_large_exponents_stay_finite():
    query, key, value = (50 * x for x in inputs("performer"))
    assert jnp.isfinite(parts("performer")[0](query, key, value)).all()


def test_nystrom_with_a_landmark_for_each_token_is_softmax_attention():
    x = normal(K, D)
    context, weights = ops.scaled_dot_product_attention(x, x, x)
    exact = functools.partial(ops.nystrom_attention, num_landmarks=K, num_iterations=20)
    approximate, captured = jax.jit(capture(exact, "weights"))(x, x, x)
    np.testing.assert_allclose(captured["weights"], weights, atol=1e-3)
    np.testing.assert_allclose(approximate, context, atol=1e-3)


def test_nystrom_of_a_padded_sequence_is_that_of_the_sequence_alone():
    x, mask = normal(K, D), jnp.arange(K) < Q
    attend = jax.jit(functools.partial(ops.nystrom_attention, num_landmarks=3))
    padded = attend(x, x, x, key_mask=mask, query_mask=mask)[:Q]
    np.testing.assert_allclose(padded, attend(x[:Q], x[:Q], x[:Q]), atol=1e-5)


X = jnp.ones((5, 3))
ERRORS = {
    "mask": (
        lambda: ops.linear_attention(X, X, X, key_mask=jnp.ones(4, bool)),
        r"key_mask of shape \(4,\) does not fit",
    ),
    "mask of pairs": (
        lambda: ops.linear_attention(X, X, X, key_mask=jnp.ones((5, 5), bool)),
        "mask that differs between queries or heads goes in mask",
    ),
    "features": (lambda: ops.linear_attention(X, X[:, :2], X), "key has 2 features"),
    "causal": (lambda: ops.linear_attention(X[:4], X, X, causal=True), "4 queries and 5 keys"),
    "projection": (
        lambda: ops.performer_attention(X, X, X, projection=jnp.ones((4, 7))),
        "query has 3 features and projection expects 4",
    ),
    "no features": (
        lambda: ops.performer_projection(3, 0, rng=jax.random.key(0)),
        "num_features=0 .* must be at least 1",
    ),
    "w_key": (
        lambda: ops.linformer_attention(X, X, X, w_key=jnp.ones((4, 2)), w_value=jnp.ones((5, 2))),
        r"key \(its tokens\) has 5 features and w_key expects 4",
    ),
    "w_value": (
        lambda: ops.linformer_attention(X, X, X, w_key=jnp.ones((5, 2)), w_value=jnp.ones((5, 3))),
        "w_value has 3 features and w_key expects 2",
    ),
    "landmarks": (lambda: ops.nystrom_attention(X, X, X, num_landmarks=0), "num_landmarks=0"),
    "query mask": (
        lambda: ops.nystrom_attention(X, X, X, num_landmarks=2, query_mask=jnp.ones(4, bool)),
        r"query_mask of shape \(4,\)",
    ),
    "batch": (lambda: ops.linear_attention(X[None], X, X), "batch axes"),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("case", ERRORS)
def test_errors_say_what_is_wrong(case):
    call, message = ERRORS[case]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.usefixtures("unchecked")
def test_a_mask_of_numbers_is_refused():
    with pytest.raises(TypeError, match="key_mask must be boolean"):
        ops.linear_attention(X, X, X, key_mask=jnp.ones(5))
