"""The summary as a hook point: of any fused attention, under any transformation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from reference_attention import Reference, check_summary, close

from attn_jax import ops
from attn_jax.hooks import HookError, activation_grads, capture, hook_points, intervene
from attn_jax.ops import Summary, attention

Q, K, H, D = 11, 17, 2, 5
POOLED = (3, 7)
WANTED = Summary(True, True, top_k=3, received=True, distance=True, pooled=POOLED)
RNG = np.random.default_rng(23)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


QUERY, KEY, VALUE = normal(Q, H, D), normal(K, H, D), normal(K, H, D)
MASK = jnp.asarray(RNG.random((H, Q, K)) < 0.7).at[1, 3].set(False)
HARD = {"mask": MASK, "softcap": 2.0, "sinks": normal(H), "window": (6, 5), "query_offset": 4}


def call(implementation="auto", **options):
    def attend(query, key, value):
        return attention(query, key, value, **options, implementation=implementation)

    return attend


@pytest.mark.parametrize(
    ("implementation", "options"),
    [("xla", {"causal": True, "query_offset": 3}), ("streaming", HARD)],
)
def test_it_can_be_asked_of_any_call_and_looking_changes_nothing(implementation, options):
    fn, reference = call(implementation, **options), Reference(QUERY, KEY, VALUE, **options)
    spec = {"summary": WANTED, "weights": WANTED}
    out, captured = jax.jit(capture(fn, spec))(QUERY, KEY, VALUE)
    check_summary(captured["summary"], reference, POOLED)
    check_summary(captured["weights"], reference, POOLED)
    np.testing.assert_array_equal(jax.jit(fn)(QUERY, KEY, VALUE), out)


def test_without_a_reducer_it_is_all_there_is_to_know():
    _, captured = jax.jit(capture(call(causal=True), "summary"))(QUERY, KEY, VALUE)
    reference = Reference(QUERY, KEY, VALUE, causal=True)
    check_summary(captured["summary"], reference, (Q, K))
    assert captured["summary"].top_weights.shape == (H, Q, 8)


def test_who_asks_for_everything_is_not_given_the_summary():
    _, captured = capture(call())(QUERY, KEY, VALUE)
    assert set(captured) == {"query", "key", "value", "scores", "weights", "context"}
    points = hook_points(call())(QUERY, KEY, VALUE)
    assert [point.name for point in points if point.is_observation] == ["summary"]


def test_it_is_read_and_never_edited_nor_differentiated():
    with pytest.raises(HookError, match=r"summary.*read off.*edit the scores or weights instead"):
        intervene(call(), {"summary": lambda summary, site: summary})(QUERY, KEY, VALUE)
    with pytest.raises(HookError, match="summary"):
        activation_grads(lambda *given: call()(*given).sum(), "summary")(QUERY, KEY, VALUE)


def test_what_it_cannot_be_of_is_refused():
    with pytest.raises(HookError, match="a Summary is of weights or of a summary, not of 'scores'"):
        capture(call(), {"scores": WANTED})(QUERY, KEY, VALUE)
    with pytest.raises(HookError, match="top_k=18 is more than the 17 keys"):
        capture(call(), {"summary": Summary(top_k=18)})(QUERY, KEY, VALUE)


def test_it_follows_edits_of_the_weights():
    def reversed_keys(weights, site):
        return weights[..., ::-1]

    reference = Reference(QUERY, KEY, VALUE)
    fn = intervene(call(), {"weights": reversed_keys})
    captured = jax.jit(capture(fn, {"summary": WANTED}))(QUERY, KEY, VALUE)[1]
    reference.set_scores(np.log(reference.weights[..., ::-1]))
    check_summary(captured["summary"], reference, POOLED)


def test_it_follows_edits_of_the_scores():
    fn = intervene(call(**HARD), {"scores": lambda scores, site: 2 - scores})
    captured = jax.jit(capture(fn, {"summary": WANTED}))(QUERY, KEY, VALUE)[1]
    reference = Reference(QUERY, KEY, VALUE, **HARD)
    reference.set_scores(np.where(reference.scores > -np.inf, 2 - reference.scores, -np.inf))
    check_summary(captured["summary"], reference, POOLED)


def test_under_vmap_and_grad_it_stays_aligned():
    queries, masks = normal(3, Q, H, D), jnp.asarray(RNG.random((3, 1, Q, K)) < 0.7)

    def fn(query, mask):
        return attention(query, KEY, VALUE, mask=mask, causal=True, query_offset=5)

    def loss(queries):
        out, captured = capture(jax.vmap(fn), {"summary": WANTED})(queries, masks)
        return (out**2).sum(), captured["summary"]

    found = jax.jit(jax.grad(loss, has_aux=True))(queries)[1]
    for i in range(3):
        options = {"mask": masks[i], "causal": True, "query_offset": 5}
        reference = Reference(queries[i], KEY, VALUE, **options)
        check_summary(jax.tree.map(lambda x, i=i: x[i], found), reference, POOLED)


def test_of_a_scan_it_is_stacked_or_of_one_layer():
    def layer(x, scale):
        with jax.named_scope("layers"):
            return x, attention(scale * x, x, x, causal=True, implementation="streaming")

    def scanned(x):
        return jax.lax.scan(layer, x, jnp.array([0.5, 1.0, 2.0]))[1]

    spec = {"*.summary": WANTED, "layers.2.weights": WANTED}
    captured = jax.jit(capture(scanned, spec))(QUERY)[1]
    assert set(captured) == {"layers.*.summary", "layers.2.weights"}
    for i, scale in enumerate([0.5, 1.0, 2.0]):
        reference = Reference(scale * QUERY, QUERY, QUERY, causal=True)
        stacked = captured["layers.*.summary"]
        check_summary(jax.tree.map(lambda x, i=i: x[i], stacked), reference, POOLED)
    check_summary(captured["layers.2.weights"], reference, POOLED)


def test_a_model_that_was_not_built_for_it_tells_its_summary():
    x = normal(2, Q, 6)
    stock = linen.MultiHeadDotProductAttention(num_heads=3)
    variables = stock.init(jax.random.key(0), x)
    _, sown = stock.apply(variables, x, sow_weights=True, mutable=["intermediates"])
    (weights,) = sown["intermediates"]["attention_weights"]
    ours = stock.clone(attention_fn=ops.attention_fn)
    spec = {"*.summary": Summary(received=True, top_k=1)}
    found = jax.jit(capture(ours.apply, spec))(variables, x)[1]["summary"]
    close(found.received, np.asarray(weights.sum(-2)))
    close(found.top_weights[..., 0], np.asarray(weights.max(-1)))


def test_of_a_long_sequence_it_needs_no_map():
    x = jax.ShapeDtypeStruct((4096, 1, 8), jnp.float32)
    for leaf in ("summary", "weights"):
        looking = jax.jit(capture(attention, {leaf: Summary(entropy=True, received=True)}))
        memory = looking.lower(x, x, x).compile().memory_analysis()
        assert memory.temp_size_in_bytes < 4096**2 * 4 / 4
