"""Streaming attention under JAX's transformations, in any type, and where there is NaN."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec
from jax.test_util import check_grads
from reference_attention import Reference, check_summary, close

from attn_jax.ops import Summary, attention, streaming_attention
from attn_jax.ops.reference.derived import AttentionFormula
from attn_jax.ops.reference.operands import Call
from attn_jax.ops.streaming import dispatch
from attn_jax.ops.streaming.plan import arrays_of, plan_of

Q, K, H, D = 19, 31, 2, 5
POOLED = (3, 7)
WANTED = Summary(True, True, top_k=2, received=True, distance=True, pooled=POOLED)
RNG = np.random.default_rng(11)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


QUERY, KEY, VALUE = normal(Q, H, D), normal(K, H, D), normal(K, H, D)
OFFSETS = np.array([-60, -31, -19, -3, 0, 1, 4, 8, 12, 29, 33, 61])


@pytest.mark.parametrize(
    "structure",
    [{"causal": True}, {"window": (2, 5)}, {"window": 0}, {"causal": True, "window": (4, 3)}],
    ids=str,
)
def test_no_block_is_forgotten_wherever_the_queries_are(structure):
    def at(offset):
        options = structure | {"query_offset": offset, "block_sizes": (5, 4)}
        return streaming_attention(QUERY, KEY, VALUE, **options, summary=Summary(received=True))

    contexts, found = jax.jit(lambda offsets: jax.lax.map(at, offsets))(OFFSETS)
    for i, offset in enumerate(OFFSETS):
        reference = Reference(QUERY, KEY, VALUE, query_offset=offset, **structure)
        close(contexts[i], reference.context)
        close(found.received[i], reference.weights.sum(-2))


def test_vmap_over_offsets_masks_and_queries():
    offsets, masks = jnp.array([-4, 0, 7]), jnp.asarray(RNG.random((3, H, Q, K)) < 0.7)
    queries, toward = normal(3, Q, H, D), normal(3, Q, H, D)

    def of_one(offset, mask, query, toward):
        def attend(key):
            options = {"mask": mask, "query_offset": offset, "window": (6, 2)}
            return streaming_attention(query, key, VALUE, **options, block_sizes=(8, 8))

        context, pull = jax.vjp(attend, KEY)
        return context, pull(toward)[0]

    contexts, gradients = jax.jit(jax.vmap(of_one))(offsets, masks, queries, toward)
    for i in range(3):
        options = {"mask": masks[i], "query_offset": int(offsets[i]), "window": (6, 2)}
        reference = Reference(queries[i], KEY, VALUE, **options)
        close(contexts[i], reference.context)
        close(gradients[i], reference.gradients(toward[i])["key"], 2e-5)


def test_layers_in_a_scan_of_checkpoints_are_differentiated():
    scales = jnp.array([0.5, 1.0, 2.0])

    def layer(attend, x, scale):
        return x + attend(scale * x, x, x, causal=True), None

    def streamed(x):
        def body(x, scale):
            return layer(lambda *a, **o: streaming_attention(*a, **o, block_sizes=(7, 5)), x, scale)

        return jax.lax.scan(jax.checkpoint(body), x, scales)[0]

    def unrolled(x):
        for scale in scales:
            x, _ = layer(lambda *a, **o: attention(*a, **o, implementation="xla"), x, scale)
        return x

    for ours, wanted in zip(
        *(jax.jit(jax.value_and_grad(lambda x, fn=fn: (fn(x) ** 2).mean()))(QUERY)
          for fn in (streamed, unrolled)), strict=True
    ):  # fmt: skip
        close(ours, np.asarray(wanted))


@pytest.mark.parametrize("batch", [(), (2, 3)], ids=str)
def test_any_number_of_batch_axes_without_jit(batch):
    query, key = normal(*batch, Q, H, D), normal(*batch, Q, H, D)
    options = {"mask": jnp.asarray(RNG.random((*batch, 1, Q, Q)) < 0.7)}
    options["segment_ids"] = jnp.arange(Q) // 8
    eager = streaming_attention(query, key, key, **options, block_sizes=(8, 16))
    close(eager, Reference(query, key, key, **options).context)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision(dtype):
    query, key, value = (x.astype(dtype) for x in (QUERY, KEY, VALUE))
    options = {"causal": True, "query_offset": 5}
    attend = jax.jit(
        lambda *given: streaming_attention(*given, **options, block_sizes=(8, 8), summary=WANTED)
    )
    context, found = attend(query, key, value)
    reference = Reference(query, key, value, **options)
    assert context.dtype == dtype
    assert found.entropy.dtype == found.received.dtype == jnp.float32
    close(context, reference.context, 1e-2)
    check_summary(found, reference, POOLED, 1e-2)


MASK = jnp.asarray(RNG.random((Q, K)) < 0.7).at[:, jnp.array([0, 8, 30])].set(False)
BIAS = jnp.where(jnp.arange(K) % 5 == 1, -jnp.inf, 0.0)
UNSEEN = {
    "causal, bias": {"causal": True, "query_offset": -2, "bias": BIAS, "softcap": 2.0},
    "window, mask": {"window": (3, 1), "query_offset": 5, "mask": MASK},
    "segments": {"segment_ids": (jnp.arange(Q) % 4, jnp.arange(K) % 7)},
}


@pytest.mark.parametrize("name", UNSEEN)
def test_what_nobody_may_see_cannot_leak(name):
    options = UNSEEN[name]

    @jax.jit
    def everything(key, value):
        def attend(*given):
            wanted = Summary(received=True)
            return streaming_attention(*given, **options, block_sizes=(8, 4), summary=wanted)

        context, pull, found = jax.vjp(attend, QUERY, key, value, has_aux=True)
        return context, found, pull(context)

    is_unseen = ~(Reference(QUERY, KEY, VALUE, **options).scores > -np.inf).any((0, 1))
    assert 0 < is_unseen.sum() < K
    hidden = is_unseen[:, None, None]
    broken = jnp.where(hidden, jnp.nan, KEY), jnp.where(hidden, jnp.inf, VALUE)
    wanted, found = everything(KEY, VALUE), everything(*broken)
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


HARD = {"mask": MASK.at[4].set(False), "causal": True, "query_offset": 9}
HARD |= {"window": (11, 2), "softcap": 2.0, "scale": 0.9}


def test_gradients_are_those_of_finite_differences():
    @jax.jit
    def fn(query, key, value, bias, sinks):
        given = map(jnp.asarray, (query, key, value))
        options = HARD | {"bias": jnp.asarray(bias), "sinks": jnp.asarray(sinks)}
        return streaming_attention(*given, **options, block_sizes=(4, 8))

    given = QUERY, KEY, VALUE, normal(H, 1, K), normal(H)
    check_grads(fn, given, order=1, modes=["rev"], rtol=3e-2, atol=3e-3)


def test_the_fused_call_is_the_same_streamed_or_not():
    def call(implementation):
        def attend(given):
            return attention(**given, **HARD, implementation=implementation)

        return jax.jit(lambda given: (attend(given), jax.vjp(attend, given)[1](toward)[0]))

    given = {"query": QUERY, "key": KEY, "value": VALUE, "bias": normal(Q, K), "sinks": normal(H)}
    toward = normal(Q, H, D)
    streamed, plain = call("streaming")(given), call("xla")(given)
    jax.tree.map(lambda x, wanted: close(x, np.asarray(wanted)), streamed, plain)


def test_a_window_of_the_largest_integer_hides_nothing():
    window = (2**31 - 1, 2**31 - 1)
    found = streaming_attention(QUERY, KEY, VALUE, window=window, block_sizes=(8, 8))
    close(found, Reference(QUERY, KEY, VALUE).context)


def test_no_gradient_flows_through_the_summary():
    def loss(query, share):
        context, found = streaming_attention(query, KEY, VALUE, summary=WANTED)
        return (context**2).sum() + share * sum(x.sum() for x in jax.tree.leaves(found))

    gradient = jax.jit(jax.grad(loss))
    np.testing.assert_array_equal(gradient(QUERY, 3.0), gradient(QUERY, 0.0))


@pytest.mark.parametrize("options", [{}, {"causal": True, "mask": True, "sinks": True}])
def test_sequential_and_vmapped_heads_are_the_same(options):
    # On one CPU heads come one after another, with several devices at once; the tests have four.
    query, key = normal(2, 11, 6, 5), normal(2, 13, 3, 5)
    mask = jnp.asarray(RNG.random((2, 1, 11, 13)) < 0.7)
    optional = {"mask": mask, "sinks": normal(1, 6, 1, 1)} if "mask" in options else {}
    call = Call(AttentionFormula(causal=options.get("causal", False)), query, key, key, optional)
    plan = plan_of(call, (4, 3), Summary.all_of(11, 13))
    arrays = arrays_of(plan, call)

    def everything(sequential):
        here = dataclasses.replace(plan, sequential=sequential)

        def total(floats):
            rows = dispatch.attend(here, arrays | floats)
            return (rows.context**2).sum(), rows

        floats = {name: x for name, x in arrays.items() if jnp.issubdtype(x.dtype, jnp.floating)}
        grads, rows = jax.grad(total, has_aux=True)(floats)
        statistics = dispatch.summarize_weights(here, arrays, rows.softmax, rows.lanes)
        moved = jax.jvp(total, (floats,), (grads,))[1][0]
        return grads, rows, statistics, moved, dispatch.keys_seen(here, arrays)

    one_by_one, at_once = (
        jax.tree.leaves(jax.jit(lambda i=i: everything(i))()) for i in (True, False)
    )
    for one, other in zip(one_by_one, at_once, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-5)


def test_each_device_attends_to_its_part_of_a_batch():
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    arrays = [normal(4, Q, H, D) for _ in range(3)]

    def loss(arrays):
        context, found = streaming_attention(
            *arrays, causal=True, block_sizes=(8, 8), summary=WANTED
        )
        return (context**2).sum(), (context, found)

    look = jax.grad(loss, has_aux=True)
    on_devices = jax.shard_map(
        look, mesh=mesh, in_specs=PartitionSpec("data"), out_specs=PartitionSpec("data")
    )
    ours, whole = (jax.tree.leaves(jax.jit(fn)(arrays)) for fn in (on_devices, look))
    for one, other in zip(ours, whole, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-5)
    sharded = jax.device_put(arrays, jax.NamedSharding(mesh, PartitionSpec("data")))
    compiled = jax.jit(jax.grad(lambda arrays: loss(arrays)[0])).lower(sharded).compile()
    assert "all-gather" not in compiled.as_text()
