"""The fused attention and what is derived from it, against NumPy written from the formulas."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_jax import ops
from attn_jax.hooks import activation_grads, capture, entropy, hook_points, intervene, row_blocked
from attn_jax.ops.fused.attention import attention

B, Q, K, H, KEY_HEADS, D = 2, 7, 5, 6, 3, 8
LEAVES = ["query", "key", "value", "scores", "weights", "context"]
RNG = np.random.default_rng(2)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


QUERY, KEY, VALUE = normal(B, Q, H, D), normal(B, K, KEY_HEADS, D), normal(B, K, KEY_HEADS, D)
MASK = jnp.asarray(RNG.random((B, 1, Q, K)) < 0.7).at[0, 0, 2].set(False)
BIAS = normal(1, H, Q, K).at[:, 1, 3].set(-jnp.inf)
OPTIONS = {
    "plain": {},
    "causal": {"causal": True},
    "causal, offset": {"causal": True, "query_offset": 2},
    "causal, negative offset": {"causal": True, "query_offset": -3},
    "window": {"window": (1, 2)},
    "one window": {"window": 1, "query_offset": 3},
    "mask": {"mask": MASK},
    "mask of the keys": {"mask": jnp.array([True, False, True, True, False])},
    "bias": {"bias": BIAS},
    "all": {"mask": MASK, "bias": BIAS, "causal": True, "window": (3, 0), "scale": 0.3},
    "softcap": {"softcap": 0.7, "causal": True, "bias": BIAS},
    "sinks": {"sinks": normal(H), "mask": MASK},
    "softcap and sinks": {"sinks": normal(H), "softcap": 2.0, "scale": 0.9},
}
HARD = ["all", "one window", "softcap", "softcap and sinks"]
HARD_ONES = pytest.mark.parametrize("options", [OPTIONS[name] for name in HARD], ids=HARD)
EACH = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def reference(
    query, key, value, mask=None, bias=None, causal=False, query_offset=0, window=None,
    scale=None, softcap=None, sinks=None,
):  # fmt: skip
    """Return context, weights and scores, one number at a time, in float64."""
    query, key, value = (np.asarray(x, np.float64) for x in (query, key, value))
    group = H // KEY_HEADS
    mask = np.broadcast_to(True if mask is None else np.asarray(mask), (B, H, Q, K))
    bias = np.broadcast_to(0.0 if bias is None else np.asarray(bias), (B, H, Q, K))
    left, right = (window, window) if isinstance(window, int) else (window or (99, 99))
    context, weights, scores = (
        np.zeros((B, Q, H, D)),
        np.zeros((B, H, Q, K)),
        np.zeros((B, H, Q, K)),
    )
    for b, h, i in np.ndindex(B, H, Q):
        here, total = i + query_offset, 0.0 if sinks is None else math.exp(sinks[h])
        for j in range(K):
            score = query[b, i, h] @ key[b, j, h // group] * (scale or 1 / math.sqrt(D))
            score = score if softcap is None else softcap * math.tanh(score / softcap)
            scores[b, h, i, j] = score + bias[b, h, i, j]
            seen = (
                mask[b, h, i, j] and here - left <= j <= here + right and not (causal and j > here)
            )
            weights[b, h, i, j] = math.exp(scores[b, h, i, j]) if seen else 0.0
            total += weights[b, h, i, j]
        weights[b, h, i] /= total or 1.0
        context[b, i, h] = sum(weights[b, h, i, j] * value[b, j, h // group] for j in range(K))
    return context, weights, scores


def call(**options):
    return lambda query, key, value: attention(query, key, value, **options)


def close(actual, wanted, tolerance=2e-6):
    np.testing.assert_allclose(actual, wanted, rtol=tolerance, atol=tolerance)


@EACH
def test_what_is_derived_follows_the_formula_and_looking_changes_nothing(options):
    context, weights, scores = reference(QUERY, KEY, VALUE, **options)
    out, captured = jax.jit(capture(call(**options)))(QUERY, KEY, VALUE)
    close(out, context)
    close(captured["weights"], weights)
    assert set(captured) == set(LEAVES)
    np.testing.assert_array_equal(captured["context"], out)
    seen = weights > 0  # elsewhere keys may have been replaced by zeros
    close(captured["scores"][seen], scores[seen], 4e-6)
    np.testing.assert_array_equal(jax.jit(call(**options))(QUERY, KEY, VALUE), out)


@HARD_ONES
def test_blocks_of_rows_give_the_same_entropy_and_looking_changes_nothing(options):
    weights = reference(QUERY, KEY, VALUE, **options)[1]
    logs = np.log(np.where(weights > 0, weights, 1))
    spec = {"weights": row_blocked(entropy, 3)}
    out, captured = jax.jit(capture(call(**options), spec))(QUERY, KEY, VALUE)
    close(captured["weights"], -(weights * logs).sum(-1), 1e-5)
    np.testing.assert_array_equal(jax.jit(call(**options))(QUERY, KEY, VALUE), out)


@HARD_ONES
def test_edited_weights_rewrite_the_context(options):
    factors = jnp.array([0.0, 1.0, 2.0, -1.0, 0.5, 3.0]).reshape(H, 1, 1)
    edits = {"weights": lambda weights, site: weights * factors[None]}
    fn = intervene(call(**options), edits)
    context, weights, _ = reference(QUERY, KEY, VALUE, **options)
    out, captured = jax.jit(capture(fn, ["weights", "context"]))(QUERY, KEY, VALUE)
    close(out, context * np.asarray(factors)[:, 0], 1e-5)
    close(captured["weights"], weights * np.asarray(factors), 1e-5)
    np.testing.assert_array_equal(captured["context"], out)


@HARD_ONES
def test_edited_scores_rewrite_weights_and_context(options):
    fn = intervene(call(**options), {"scores": lambda scores, site: 0 * jnp.nan_to_num(scores)})
    context, weights, _ = reference(0 * QUERY, KEY, VALUE, **options | {"bias": None})
    out, captured = jax.jit(capture(fn, "weights"))(QUERY, KEY, VALUE)
    close(out, context)
    close(captured["weights"], weights)


@pytest.mark.parametrize("leaf", ["query", "key", "value"])
def test_an_edited_input_is_as_if_given(leaf):
    given = {"query": QUERY, "key": KEY, "value": VALUE}
    fn = intervene(call(mask=MASK), {leaf: lambda x, site: 2 * x + 1})
    edited = given | {leaf: 2 * given[leaf] + 1}
    close(fn(**given), reference(**edited, mask=MASK)[0], 1e-5)


def test_gradients_with_respect_to_the_weights():
    toward = normal(B, Q, H, D)
    fn = call(mask=MASK, causal=True)
    grads = activation_grads(lambda *args: (fn(*args) * toward).sum(), "weights")
    values = np.repeat(VALUE, H // KEY_HEADS, axis=2)
    close(
        np.where(MASK, grads(QUERY, KEY, VALUE)["weights"], 0),
        np.where(MASK, np.einsum("bqhd,bkhd->bhqk", toward, values), 0),
        1e-5,
    )


@pytest.mark.parametrize("name", ["all", "window", "softcap and sinks"])
def test_gradients_are_right(name):
    @jax.jit
    def fn(query, key, value):
        return attention(*map(jnp.asarray, (query, key, value)), **OPTIONS[name])

    check_grads(fn, (QUERY, KEY, VALUE), order=1, modes=["rev"], rtol=3e-2, atol=3e-3)


def test_under_vmap_all_stays_aligned():
    queries, masks = normal(3, B, Q, H, D), jnp.asarray(RNG.random((3, Q, K)) < 0.7)

    def fn(query, mask):
        return attention(query, KEY, VALUE, mask=mask, bias=BIAS, causal=True, sinks=sinks)

    for sinks in (None, normal(H)):
        out, captured = jax.jit(capture(jax.vmap(fn), "*"))(queries, masks)
        spec = {"weights": row_blocked(entropy, 2)}
        blocked = jax.jit(capture(jax.vmap(fn), spec))(queries, masks)[1]
        close(blocked["weights"], entropy(captured["weights"]), 1e-5)
        for i in range(3):
            options = {"mask": masks[i], "bias": BIAS, "causal": True, "sinks": sinks}
            context, weights, _ = reference(queries[i], KEY, VALUE, **options)
            close(out[i], context)
            close(captured["weights"][i], weights)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.checkpoint], ids=["scan", "scan of remat"])
def test_layers_in_a_scan_are_read_edited_and_differentiated(wrap):
    scales = jnp.array([0.5, 1.0, 2.0])

    @wrap
    def layer(x, scale):
        with jax.named_scope("layers"):
            return x + attention(scale * x, x, x, causal=True), None

    def scanned(x):
        return jax.lax.scan(layer, x, scales)[0]

    def unrolled(x):
        for i, scale in enumerate(scales):
            with jax.named_scope(f"layers_{i}"):
                x = x + attention(scale * x, x, x, causal=True)
        return x

    x = QUERY[:1, :, :2]
    _, stack = jax.jit(capture(scanned, "*.weights"))(x)
    _, each = jax.jit(capture(unrolled, "*.weights"))(x)
    close(stack["layers.*.weights"], jnp.stack(list(each.values())), 1e-5)
    edits = {"layers.1.weights": lambda weights, site: 0 * weights}
    close(intervene(scanned, edits)(x), intervene(unrolled, edits)(x), 1e-5)
    grads = [
        jax.jit(activation_grads(lambda x, fn=fn: (fn(x) ** 2).sum(), "layers.1.weights"))(x)
        for fn in (scanned, unrolled)
    ]
    close(grads[0]["layers.1.weights"], grads[1]["layers.1.weights"], 1e-4)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_any_number_of_batch_axes(batch):
    query, key = normal(*batch, Q, H, D), normal(*batch, K, KEY_HEADS, D)
    mask = jnp.asarray(RNG.random((*batch, 1, Q, K)) < 0.7)
    out, captured = jax.jit(capture(call(mask=mask), "weights"))(query, key, key)
    assert out.shape == query.shape
    for i in np.ndindex(batch):
        row = mask[i]
        both = [jnp.broadcast_to(x[i], (B, *x.shape[-3:])) for x in (query, key, key)]
        context, weights, _ = reference(*both, mask=row)
        close(out[i], context[0])
        close(captured["weights"][i], weights[0])


def test_the_offset_may_be_traced():
    def fn(offset, query):
        return attention(query, KEY, VALUE, causal=True, query_offset=offset)

    fn = jax.jit(fn)
    for offset in range(K):
        wanted = jax.jit(call(causal=True))(QUERY, KEY, VALUE)[:, offset]
        close(fn(offset, QUERY[:, offset : offset + 1])[:, 0], wanted)


@pytest.mark.parametrize("implementation", ["auto", "streaming"])
def test_each_sequence_may_have_its_own_offset(implementation):
    offsets = jnp.array([3, 0, 1, 2, 4][:B])

    def fn(offset, query, key, value):
        options = {"causal": True, "window": (2, 0), "implementation": implementation}
        return attention(query, key, value, query_offset=offset, **options)

    spec = ["weights", "summary"]
    context, captured = jax.jit(capture(fn, spec))(offsets, QUERY, KEY, VALUE)
    for b in range(B):
        expected, weights, _ = reference(
            QUERY, KEY, VALUE, causal=True, window=(2, 0), query_offset=int(offsets[b])
        )
        close(context[b], expected[b])
        close(captured["weights"][b], weights[b])
        away = np.abs(np.arange(K) - np.arange(Q)[:, None] - int(offsets[b]))
        close(captured["summary"].distance[b], (weights[b] * away).sum(-1))
    with pytest.raises(ValueError, match=r"query_offset of shape \(7,\) must be one number"):
        fn(jnp.arange(7), QUERY, KEY, VALUE)


@pytest.mark.parametrize("options", [{}, {"softcap": 2.0}, {"sinks": normal(H)}])
def test_rows_that_see_nothing_are_zero_with_zero_gradients(options):
    bias = jnp.zeros((Q, K)).at[4].set(-jnp.inf)
    mask = jnp.ones((Q, K), bool).at[2].set(False)
    fn = call(mask=mask, bias=bias, **options)
    out, captured = jax.jit(capture(fn, "weights"))(QUERY, KEY, VALUE)
    assert not out[:, [2, 4]].any()
    assert not captured["weights"][:, :, [2, 4]].any()
    grads = jax.jit(jax.grad(lambda q: fn(q, KEY, VALUE).sum()))(QUERY)
    assert jnp.isfinite(grads).all()
    assert not grads[:, [2, 4]].any()


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize(
    "options",
    [
        {"mask": jnp.arange(K) != 3},
        {"bias": jnp.where(jnp.arange(K) == 3, -jnp.inf, 0.0)},
        {"mask": jnp.ones((1, H, Q, K), bool).at[..., 3].set(False)},
    ],
    ids=["mask", "bias", "mask of each head"],
)
def test_what_nobody_may_see_cannot_leak(options, softcap):
    fn = jax.jit(call(**options, softcap=softcap))
    broken = [x.at[:, 3].set(jnp.nan) for x in (KEY, VALUE)]
    np.testing.assert_array_equal(fn(QUERY, *broken), fn(QUERY, KEY, VALUE))
    grads = jax.jit(jax.grad(lambda *args: fn(*args).sum(), argnums=(0, 1, 2)))(QUERY, *broken)
    assert all(jnp.isfinite(grad).all() for grad in grads)


def test_keys_in_the_future_of_every_query_cannot_leak():
    broken = KEY.at[:, 3:].set(jnp.nan)
    out = attention(QUERY[:, :3], broken, broken, causal=True)
    close(out, attention(QUERY[:, :3], KEY[:, :3], KEY[:, :3], causal=True))


def test_half_precision_is_normalised_in_float32():
    query, key, value = (x.astype(jnp.bfloat16) for x in (QUERY, KEY, VALUE))
    out, captured = capture(call(causal=True), "weights")(query, key, value)
    assert out.dtype == jnp.bfloat16
    assert captured["weights"].dtype == jnp.float32
    close(np.asarray(out, float), reference(query, key, value, causal=True)[0], 3e-2)


def test_fused_and_unfused_agree():
    """The weights derived from the fused call and those of the unfused operation."""
    eye = jnp.eye(H * D).reshape(H * D, H, D)
    key, value = (jnp.repeat(x, H // KEY_HEADS, axis=2) for x in (KEY, VALUE))
    flat = [x.reshape(*x.shape[:2], H * D) for x in (QUERY, key, value)]
    out, weights = ops.multi_head_attention(
        *flat, w_query=eye, w_key=eye, w_value=eye, w_out=eye.transpose(1, 2, 0), mask=MASK
    )
    fused, captured = capture(call(mask=MASK), "weights")(QUERY, KEY, VALUE)
    close(captured["weights"], weights)
    close(fused.reshape(out.shape), out)


def test_hook_points_tell_shapes_and_compute_nothing():
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in (QUERY, KEY, VALUE)]
    points = {point.name: point.shape for point in hook_points(call(causal=True))(*shapes)}
    assert list(points) == [*LEAVES[:-1], "summary", LEAVES[-1]]
    assert points["weights"] == points["scores"] == (B, H, Q, K)
    assert points["context"] == points["query"] == (B, Q, H, D)


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((QUERY[0, 0], KEY, VALUE), {}, "at least three axes"),
        ((QUERY, KEY[:, :4], VALUE), {}, "key has 4 tokens and value has 5"),
        ((QUERY[:1], KEY, VALUE), {}, "batch axes"),
        ((QUERY[..., :4], KEY, VALUE), {}, "key has 8 features and query expects 4"),
        ((QUERY, KEY[:, :, :2], VALUE), {}, "key has 2 heads and value has 3"),
        ((QUERY[:, :, :4], KEY, VALUE), {}, "3 heads, which do not divide the 4"),
        ((QUERY, KEY, VALUE), {"softcap": -1.0}, "softcap=-1.0 must be positive"),
        ((QUERY, KEY, VALUE), {"window": -1}, "negative side"),
        ((QUERY, KEY, VALUE), {"mask": jnp.ones((4, 9), bool)}, "mask of shape"),
        ((QUERY, KEY, VALUE), {"bias": jnp.ones((4, 9))}, "bias of shape"),
        ((QUERY, KEY, VALUE), {"sinks": jnp.ones(4)}, "sinks of shape"),
        ((QUERY, KEY, VALUE), {"implementation": "cudnn", "softcap": 1.0}, "has no softcap"),
        ((QUERY, KEY, VALUE), {"implementation": "flash"}, "implementation='flash'"),
    ],
)
def test_errors_say_what_is_wrong(unchecked, args, options, message):
    with pytest.raises(ValueError, match=message):
        attention(*args, **options)


def test_a_mask_of_numbers_is_refused(unchecked):
    with pytest.raises(TypeError, match="mask must be boolean"):
        attention(QUERY, KEY, VALUE, mask=jnp.ones((Q, K)))
