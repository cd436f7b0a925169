"""Hook points placed in functions without taps, against softmax by its definition."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from attn_jax import measure, ops
from attn_jax.hooks import (
    HookError,
    activation_grads,
    capture,
    entropy,
    hook_points,
    intervene,
    patch,
    tap,
    tap_attention,
)

B, T, H, D, FEATURES = 2, 6, 4, 8, 12
X = jnp.asarray(np.random.default_rng(0).normal(size=(B, T, H, D)), jnp.float32)
ROWS = jnp.asarray(np.random.default_rng(3).normal(size=(B, T, FEATURES)), jnp.float32)
CAUSAL = jnp.tril(jnp.ones((T, T), bool))


def scores(x):
    return jnp.einsum("bqhd,bkhd->bhqk", x, x) / D**0.5


def weigh(weights, x):
    return jnp.einsum("bhqk,bkhd->bqhd", weights, x)


def numpy_weights(mask=None):
    """Softmax from its definition, in float64."""
    x = np.asarray(X, np.float64)
    logits = np.einsum("bqhd,bkhd->bhqk", x, x) / D**0.5
    exponentials = np.exp(logits) * (1 if mask is None else np.asarray(mask))
    return exponentials / exponentials.sum(-1, keepdims=True)


def ratio(e, total=None):
    return e / (e if total is None else total).sum(-1, keepdims=True)


def appended(s):
    return jnp.concatenate([s, jnp.zeros_like(s[..., :1])], -1)


def where_between(x):
    s = scores(x)
    return ratio(jnp.where(CAUSAL, jnp.exp(s - s.max(-1, keepdims=True)), 0.0))


def select_between(x):
    s = scores(x)
    e = jnp.exp(s - s.max(-1, keepdims=True))
    return ratio(lax.select(jnp.broadcast_to(CAUSAL, s.shape), e, 0 * s))


def shard(w):
    mesh = Mesh(np.array(jax.devices()[:1]), ("x",))
    return lax.with_sharding_constraint(w, NamedSharding(mesh, PartitionSpec("x")))


def softmax_of(change):
    return lambda x: weigh(change(jax.nn.softmax(scores(x))), x)


def joined_products(x):
    """BLOOM's: the products have heads and batch in one axis, and softmax two of them."""
    joined = x.swapaxes(1, 2).reshape(B * H, T, D)
    s = (joined @ joined.swapaxes(1, 2) / D**0.5).reshape(B, H, T, T)
    context = jax.nn.softmax(s).reshape(B * H, T, T) @ joined
    return context.reshape(B, H, T, D).swapaxes(1, 2)


def summed_afterwards(x, total):
    e = jnp.exp(scores(x))
    return weigh(e, x) / total(e).swapaxes(1, 2)[..., None]


def scanned_product(x):
    pairs = jax.nn.softmax(scores(x)).swapaxes(0, 1), x.transpose(2, 0, 1, 3)
    return lax.scan(lambda c, pair: (c, pair[0] @ pair[1]), 0, pairs)[1]


def normalized(function):
    return lambda x: weigh(function(scores(x)), x)


FULL = numpy_weights()
MASKED = numpy_weights(CAUSAL)
REWORDINGS = {
    # Those that a review found missing.
    "where between exp and sum": (lambda x: weigh(where_between(x), x), MASKED),
    "select between exp and sum": (lambda x: weigh(select_between(x), x), MASKED),
    "softmax(where=)": (normalized(lambda s: jax.nn.softmax(s, where=CAUSAL)), MASKED),
    "exp in a jit": (normalized(lambda s: ratio(jax.jit(jnp.exp)(s))), FULL),
    "exp written twice": (
        lambda x: weigh(ratio(jnp.exp(scores(x)), jnp.exp(scores(x))), x),
        FULL,
    ),
    "logsumexp": (
        normalized(lambda s: jnp.exp(s - jax.nn.logsumexp(s, -1, keepdims=True))),
        FULL,
    ),
    "exp of log_softmax": (normalized(lambda s: jnp.exp(jax.nn.log_softmax(s))), FULL),
    "reciprocal": (
        normalized(lambda s: jnp.exp(s) * (1 / jnp.exp(s).sum(-1, keepdims=True))),
        FULL,
    ),
    "exp2": (normalized(lambda s: ratio(jnp.exp2(s * 1.442695))), FULL),
    "sum by a product": (
        normalized(lambda s: (lambda e: e / (e @ jnp.ones((T, 1))))(jnp.exp(s))),
        FULL,
    ),
    "sum after the product": (lambda x: summed_afterwards(x, lambda e: e.sum(-1)), FULL),
    "sharding constraint": (softmax_of(shard), FULL),
    "clip": (softmax_of(lambda w: jnp.clip(w, 0, 1)), FULL),
    "difference": (softmax_of(lambda w: w - 0.0 * w), FULL),
    "gather": (softmax_of(lambda w: w[..., jnp.arange(T)]), FULL),
    "sink column": (
        lambda x: weigh(jax.nn.softmax(appended(scores(x)))[..., :-1], x),
        None,
    ),
    "multiply and sum": (
        lambda x: (jax.nn.softmax(scores(x))[..., None] * x.swapaxes(1, 2)[:, :, None]).sum(3),
        FULL,
    ),
    "product in a scan": (scanned_product, FULL),
    # And seven more.
    "power of a reciprocal": (
        normalized(lambda s: jnp.exp(s) * jnp.exp(s).sum(-1)[..., None] ** -1),
        FULL,
    ),
    "sum by einsum after the product": (
        lambda x: summed_afterwards(x, lambda e: jnp.einsum("bhqk,k->bhq", e, jnp.ones(T))),
        FULL,
    ),
    "keys first": (
        lambda x: jnp.einsum(
            "bkhq,bkhd->bqhd",
            jax.nn.softmax(scores(x).transpose(0, 3, 1, 2), axis=1),
            x,
        ),
        FULL,
    ),
    "cast and mask after": (
        softmax_of(lambda w: jnp.where(CAUSAL | True, w, 0).astype(jnp.float32)),
        FULL,
    ),
    "a mask for each head": (
        softmax_of(lambda w: jnp.einsum("bhqk,h->bhqk", w, jnp.ones(H))),
        FULL,
    ),
    "softmax in a remat in a jit": (
        jax.jit(jax.checkpoint(lambda x: weigh(jax.nn.softmax(scores(x)), x))),
        FULL,
    ),
    "heads and batch in one axis": (
        lambda x: (
            lambda y: (jax.nn.softmax(y @ y.swapaxes(1, 2) / D**0.5) @ y).reshape(B, H, T, D)
        )(x.swapaxes(1, 2).reshape(B * H, T, D)),
        FULL,
    ),
    "heads and batch in one axis in the products alone": (joined_products, FULL),
}


@pytest.mark.parametrize("name", REWORDINGS)
def test_softmax_in_other_words(name):
    fn, expected = REWORDINGS[name]
    out, captured = capture(tap_attention(fn), "*weights")(X)
    (weights,) = captured.values()
    if expected is not None:
        np.testing.assert_allclose(weights.reshape(expected.shape), expected, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(out, fn(X), rtol=1e-6, atol=1e-6)
    silent = intervene(tap_attention(fn), {"*weights": lambda w, site: 0 * w})(X)
    np.testing.assert_array_equal(silent, 0)


@pytest.mark.parametrize("name", ["sum after the product", "clip", "keys first"])
def test_edited_weights_are_those_multiplied(name):
    fn, _ = REWORDINGS[name]
    uniform = intervene(tap_attention(fn), {"*weights": lambda w, site: 0 * w + 1 / T})(X)
    np.testing.assert_allclose(
        uniform, jnp.broadcast_to(X.mean(1, keepdims=True), X.shape), atol=1e-6
    )


def test_edited_scores_are_normalized():
    fn, _ = REWORDINGS["softmax(where=)"]
    even = intervene(tap_attention(fn), {"scores": lambda s, site: 0 * s})(X)
    means = np.cumsum(np.asarray(X), 1) / np.arange(1, T + 1).reshape(1, T, 1, 1)
    np.testing.assert_allclose(even, means, rtol=1e-5, atol=1e-6)


def linen_attention():
    model = linen.MultiHeadDotProductAttention(num_heads=3, name="mixer", parent=None)
    variables = model.init(jax.random.key(0), ROWS)
    _, sown = model.apply(variables, ROWS, sow_weights=True, mutable=["intermediates"])
    return (lambda x: model.apply(variables, x)), sown["intermediates"]["attention_weights"][0]


@pytest.mark.parametrize(
    "wrap", [lambda f: f, jax.jit, jax.checkpoint], ids=["bare", "jit", "remat"]
)
def test_linen(wrap):
    fn, weights = linen_attention()
    _, captured = capture(tap_attention(wrap(fn)), "*.weights")(ROWS)
    assert list(captured) == ["mixer.weights"]
    np.testing.assert_allclose(captured["mixer.weights"], weights, rtol=1e-6, atol=1e-7)


def test_nnx():
    model = nnx.MultiHeadAttention(3, FEATURES, decode=False, rngs=nnx.Rngs(0))
    _, captured = capture(tap_attention(lambda x: model(x)), "weights")(ROWS)
    expected = linen.dot_product_attention_weights(model.query(ROWS), model.key(ROWS))
    np.testing.assert_allclose(captured["weights"], expected, rtol=1e-5, atol=1e-6)


def test_equinox():
    model = eqx.nn.MultiheadAttention(3, FEATURES, key=jax.random.key(0))
    fn = jax.vmap(lambda x: model(x, x, x))
    _, captured = capture(tap_attention(fn), "weights")(ROWS)
    query, key = (jax.vmap(jax.vmap(f))(ROWS) for f in (model.query_proj, model.key_proj))
    heads = (x.reshape(B, T, 3, FEATURES // 3) for x in (query, key))
    expected = linen.dot_product_attention_weights(*heads)
    np.testing.assert_allclose(captured["weights"], expected, rtol=1e-5, atol=1e-6)


def test_a_silenced_head_is_one_whose_output_kernel_is_zero():
    model = linen.MultiHeadDotProductAttention(num_heads=3, name="mixer", parent=None)
    variables = model.init(jax.random.key(0), ROWS)
    silenced = jax.tree.map(lambda x: x, variables)
    kernel = variables["params"]["out"]["kernel"]
    silenced["params"]["out"]["kernel"] = kernel.at[1].set(0)
    for leaf in ("mixer.weights", "mixer.context"):
        edited = intervene(
            tap_attention(lambda x: model.apply(variables, x)), {leaf: patch(0.0, heads=1)}
        )(ROWS)
        np.testing.assert_allclose(edited, model.apply(silenced, ROWS), rtol=1e-5, atol=1e-6)


def grouped(x, kernel, out):
    """Grouped heads, two for each key head, with weights as (b, kv, g, q, k)."""
    query = jnp.einsum("btf,fkgd->btkgd", x, kernel)
    key = query[..., 0, :]
    weights = jax.nn.softmax(jnp.einsum("bqkgd,bskd->bkgqs", query, key))
    return jnp.einsum("bkgqs,bskd->bqkgd", weights, key).reshape(*x.shape[:2], -1) @ out


def queries_before_heads(x, kernel, out):
    """Weights as (b, q, h, k)."""
    heads = jnp.einsum("btf,fhd->bthd", x, kernel[:, :, 0])
    weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bqhk", heads, heads))
    context = jnp.einsum("bqhk,bkhd->bqhd", weights, heads)
    return jnp.einsum("bqhd,hdo->bqo", context, out.reshape(2, 2, D, -1)[:, 0])


def jax_grouped(x, kernel, out):
    """Grouped heads as `jax.nn` computes them, without a projection after."""
    query = jnp.einsum("btf,fkgd->btkgd", x, kernel)
    heads = query.reshape(*x.shape[:2], 4, D)
    return jax.nn.dot_product_attention(heads, query[..., 0, :], query[..., 1, :])


def parted_late(x, kernel, out):
    """Grouped heads whose scores have one axis of heads, parted only before the product."""
    query = jnp.einsum("btf,fkgd->btkgd", x, kernel)
    key = query[..., 0, :]
    scores = jnp.einsum("bqkgd,bskd->bkgqs", query, key).reshape(B, 4, T, T)
    weights = jax.nn.softmax(scores).reshape(B, 2, 2, T, T)
    return jnp.einsum("bkgqs,bskd->bqkgd", weights, key)


@pytest.mark.parametrize(
    ("fn", "heads"),
    [(grouped, 4), (jax_grouped, 4), (parted_late, 4), (queries_before_heads, 2)],
)
def test_axes_are_presented_alike(fn, heads):
    random = np.random.default_rng(1)
    kernel = jnp.asarray(random.normal(size=(FEATURES, 2, 2, D)) / 4, jnp.float32)
    out = jnp.asarray(random.normal(size=(4 * D, 5)), jnp.float32)
    tapped = tap_attention(fn)
    points = {point.name: point for point in hook_points(tapped)(ROWS, kernel, out)}
    assert points["weights"].axes == points["scores"].axes == ("batch", "head", "query", "key")
    assert points["weights"].shape == (B, heads, T, T)
    assert points["context"].axes == ("batch", "query", "head", "feature")
    assert points["context"].shape == (B, T, heads, D)
    _, captured = capture(tapped)(ROWS, kernel, out)
    exponentials = np.exp(captured["scores"])
    np.testing.assert_allclose(
        captured["weights"],
        exponentials / exponentials.sum(-1, keepdims=True),
        rtol=1e-4,
        atol=1e-6,
    )
    by_weights = intervene(tapped, {"weights": patch(0.0, heads=1)})(ROWS, kernel, out)
    by_context = intervene(tapped, {"context": patch(0.0, heads=1)})(ROWS, kernel, out)
    np.testing.assert_allclose(by_weights, by_context, rtol=1e-5, atol=1e-5)
    assert np.abs(by_weights - fn(ROWS, kernel, out)).max() > 0.01


def test_an_unknown_axis_of_heads_is_refused():
    fn, _ = REWORDINGS["clip"]
    with pytest.raises(
        HookError, match=r"which axis of 'weights', of shape .* is that of the heads"
    ):
        intervene(tap_attention(fn), {"weights": patch(0.0, heads=1)})(X)


def layer(x, scale):
    with jax.named_scope("layers"):
        return jax.nn.softmax(scale * x @ x.T) @ x, None


def scanned(x):
    return lax.scan(layer, x, jnp.array([1.0, 2.0]))[0]


def test_layers_of_a_scan_are_stacked():
    _, captured = capture(tap_attention(scanned), "*weights")(ROWS[0])
    assert captured["layers.*.weights"].shape == (2, T, T)
    first = jax.nn.softmax(ROWS[0] @ ROWS[0].T)
    np.testing.assert_allclose(captured["layers.*.weights"][0], first, rtol=1e-5, atol=1e-6)
    edited = intervene(tap_attention(scanned), {"layers.1.weights": lambda w, site: 0 * w})(ROWS[0])
    np.testing.assert_array_equal(edited, 0)


def two_layers(x):
    once = jax.checkpoint(lambda x: jax.nn.dot_product_attention(x, x, x) ** 2)
    return once(once(x)).sum()


def test_a_replay_is_no_attention_of_its_own():
    assert [p.name for p in hook_points(tap_attention(jax.grad(two_layers)))(X)] == [
        *("scores", "weights", "context"),
        *("scores#1", "weights#1", "context#1"),
    ]
    with pytest.raises(HookError, match="differentiated before"):
        intervene(tap_attention(jax.grad(two_layers)), {"weights": lambda w, site: w})(X)


def test_derivatives_are_no_attention_of_their_own():
    def linear(x):
        return jax.nn.dot_product_attention(x, x, x).sum()

    # The product with the values is dead code here: the sum needs no value to be differentiated.
    for derivative in (jax.grad(linear), jax.jacfwd(linear)):
        names = [p.name for p in hook_points(tap_attention(derivative))(X[:1, :2])]
        assert [name for name in names if "weights" in name] == ["weights"]


def test_gradients_pass_through_tapped_checkpoints():
    def silenced(x):
        return intervene(tap_attention(two_layers), {"weights": lambda w, site: 2 * w})(x)

    def by_hand(x):
        for factor in (2, 1):
            x = (factor * jax.nn.dot_product_attention(x, x, x)) ** 2
        return x.sum()

    np.testing.assert_allclose(jax.grad(silenced)(X), jax.grad(by_hand)(X), rtol=1e-4, atol=1e-5)


def test_while_loops_say_that_the_last_step_is_seen():
    def generate(x):
        return lax.fori_loop(0, x.shape[0], lambda i, x: layer(x, 1.0)[0], x)

    def unknown(x, n):
        return lax.fori_loop(0, n, lambda i, x: layer(x, 1.0)[0], x)

    assert [p.name for p in hook_points(tap_attention(generate))(ROWS[0])][1] == "layers.*.weights"
    points = hook_points(tap_attention(unknown))(ROWS[0], jnp.int32(3))
    assert points[1].name == "layers.last.weights"
    assert points[1].is_last_step


def test_reducers_gradients_and_the_report_card():
    class Net(linen.Module):
        @linen.compact
        def __call__(self, x):
            for i in range(2):
                x = x + linen.MultiHeadDotProductAttention(3, name=f"layers_{i}")(x)
            return 5 * x.mean(1)[:, :3]

    x = jnp.tile(ROWS, (8, 1, 1)) + jax.random.normal(jax.random.key(1), (16, T, FEATURES))
    net = Net()
    variables = net.init(jax.random.key(1), x)
    fn = tap_attention(lambda x: net.apply(variables, x))
    out, entropies = jax.jit(capture(fn, {"*.weights": entropy}))(x)
    np.testing.assert_allclose(out, net.apply(variables, x), rtol=1e-6, atol=1e-6)
    assert {name: value.shape for name, value in entropies.items()} == {
        "layers.0.weights": (16, 3, T),
        "layers.1.weights": (16, 3, T),
    }
    grads = activation_grads(lambda x: fn(x).sum(), "*.weights")(x)
    step = 1e-2 * grads["layers.1.weights"] / jnp.abs(grads["layers.1.weights"]).max()
    changed = intervene(fn, {"layers.1.weights": lambda w, site: w + step})(x).sum() - out.sum()
    np.testing.assert_allclose(changed, (step * grads["layers.1.weights"]).sum(), rtol=1e-3)
    assert "prediction" in str(measure.report_card(fn, x, attention="layers.1.weights"))


def test_what_carries_taps_keeps_them():
    fn, _ = linen_attention()
    tapped = tap_attention(fn)
    assert hook_points(tap_attention(tapped))(ROWS) == hook_points(tapped)(ROWS)
    own = [p.name for p in hook_points(lambda x: ops.attention(x, x, x, softcap=2.0))(X)]
    assert [p.name for p in hook_points(tap_attention(lambda x: ops.attention(x, x, x)))(X)] == own

    def named(x):
        return weigh(tap("probabilities", jax.nn.softmax(scores(x))), x)

    assert [
        p.name
        for p in hook_points(
            tap_attention(lambda x: named(x) + weigh(jax.nn.softmax(2 * scores(x)), x))
        )(X)
    ][:1] == ["probabilities"]


def compiled(fn, *args):
    def program(*args):
        return fn(*args)

    text = jax.jit(program).lower(*args).compile().as_text()
    text = re.sub(r",? metadata=\{[^}]*\}", "", text)
    return re.sub(r"^\d+ [\"{].*\n", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", ["softmax(where=)", "sum after the product", "keys first"])
def test_taps_that_nobody_asks_for_cost_nothing(name):
    fn, _ = REWORDINGS[name]
    assert compiled(tap_attention(fn), X) == compiled(fn, X)
    gradient = jax.grad(lambda x: tap_attention(fn)(x).sum())
    assert compiled(gradient, X) == compiled(jax.grad(lambda x: fn(x).sum()), X)


def test_captured_weights_cost_as_much_as_returned_ones():
    def returned(x):
        weights = jax.nn.softmax(scores(x))
        return weigh(weights, x), weights

    fn = tap_attention(lambda x: weigh(jax.nn.softmax(scores(x)), x))
    captured = compiled(
        lambda x: (lambda out, seen: (out, seen["weights"]))(*capture(fn, "weights")(x)), X
    )
    assert captured == compiled(returned, X)


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        ("layers.1", "layers.1.weights"),
        ("layers_1", "layers.1.weights"),
        ("block[1]", "block.1.weights"),
        ("encoder.layers.0.attn", "encoder.layers.0.attn.weights"),
        ('op:{"a":"b.c"}', "op.weights"),
        ("x?", "x.weights"),
    ],
)
def test_names_from_scopes(scope, name):
    def fn(x):
        with jax.named_scope(scope):
            return jax.nn.dot_product_attention(x, x, x)

    _, captured = capture(tap_attention(fn), name)(X)
    assert list(captured) == [name]


def test_chosen_names_with_a_capital_are_kept():
    class Block(linen.Module):
        @linen.compact
        def __call__(self, x):
            x = linen.MultiHeadDotProductAttention(3, name="SelfAttention")(x)
            return linen.MultiHeadDotProductAttention(3, name="EncDecAttention")(x, ROWS)

    variables = Block().init(jax.random.key(0), ROWS)
    points = hook_points(tap_attention(lambda x: Block().apply(variables, x)))(ROWS)
    assert [p.name for p in points if p.name.endswith("weights")] == [
        "SelfAttention.weights",
        "EncDecAttention.weights",
    ]


def router(x):
    probabilities = jax.nn.softmax(x @ jnp.ones((FEATURES, 3)))
    experts = jnp.einsum("btf,efg->btef", x, jnp.ones((3, FEATURES, FEATURES)))
    with jax.named_scope("mixer"):
        x = jax.nn.softmax(x @ x.swapaxes(1, 2)) @ x
    return x + jnp.einsum("bte,btef->btf", probabilities, experts)


def test_a_router_can_be_skipped():
    names = [p.name for p in hook_points(tap_attention(router))(ROWS)]
    assert "weights" in names
    kept = [p.name for p in hook_points(tap_attention(router, skip="weights"))(ROWS)]
    assert kept == ["mixer.scores", "mixer.weights", "mixer.context"]
    with pytest.raises(HookError, match="no hook point matches 'router"):
        tap_attention(router, skip="router.*")(ROWS)


@pytest.mark.parametrize(
    "fn",
    [lambda x: jax.nn.softmax(x @ x.T).sum(), lambda x: jax.nn.softmax(x @ x.T), jnp.sin],
    ids=["sum", "classifier", "sine"],
)
def test_a_function_without_attention_is_refused(fn):
    with pytest.raises(HookError, match="no attention was found"):
        tap_attention(fn)(ROWS[0])


def test_an_edit_of_another_shape_is_refused():
    fn = tap_attention(scanned)
    with pytest.raises(HookError, match=r"must keep shape and dtype: it was given float32\[6, 6\]"):
        intervene(fn, {"*.weights": lambda w, site: w[0]})(ROWS[0])
