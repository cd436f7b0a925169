"""Streaming attention around a ring of four devices, against NumPy with the whole map."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P
from reference_attention import Reference, check_summary, close

from attn_jax.ops import AttentionSummary, Summary, streaming_attention
from attn_jax.ops.streaming.plan import plan_of
from attn_jax.ops.streaming.ring import attention as ring_attention
from attn_jax.ops.streaming.ring.axis import Ring
from attn_jax.ops.streaming.ring.layout import Layout

# Queries and keys of a device: 6 and 10, and so chunks of 3 and 5.
B, Q, K, H, KEY_HEADS, D, E = 2, 24, 40, 6, 3, 5, 7
POOLED = (5, 11)
EVERY = Summary(True, True, top_k=4, received=True, distance=True, pooled=POOLED)
RNG = np.random.default_rng(23)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def booleans(*shape):
    return jnp.asarray(RNG.random(shape) < 0.6)


def numbers(most, *shape):
    return jnp.asarray(RNG.integers(0, most, shape), jnp.int32)


GIVEN = {"query": normal(B, Q, H, D), "key": normal(B, K, KEY_HEADS, D)}
GIVEN |= {"value": normal(B, K, KEY_HEADS, E)}
TOWARD = normal(B, Q, H, E)
# One head's twentieth query sees nothing.
MASK = booleans(1, H, Q, K).at[:, 3, 19].set(False)
SEGMENTS = numbers(3, B, Q), numbers(4, B, K)
EVERYTHING = {"mask": MASK, "bias": normal(1, 1, Q, K), "causal": True, "window": (17, 3)}
EVERYTHING |= {"scale": 0.7, "query_offset": 8, "softcap": 1.5, "sinks": normal(H)}
EVERYTHING |= {"segment_ids": SEGMENTS}
CASES = {
    "causal": {"causal": True, "query_offset": -5, "bias": normal(1, H, 1, K), "scale": 2.0},
    "window": {"window": 4, "query_offset": 6, "bias": normal(Q, 1), "mask": booleans(K)},
    "sinks": {"sinks": normal(H), "mask": MASK, "segment_ids": SEGMENTS},
    "everything": EVERYTHING,
}
EACH = pytest.mark.parametrize("name", CASES)


def mesh_of(**axes):
    names, sizes = tuple(axes), tuple(axes.values())
    return jax.make_mesh(sizes, names, axis_types=(AxisType.Auto,) * len(names))


RING = mesh_of(sequence=4)


def varied_in(options):
    """All that has a gradient."""
    return GIVEN | {name: options[name] for name in ("bias", "sinks") if name in options}


def both_ways(attend):
    """A jitted function of the operands to context, summary and gradients."""

    @jax.jit
    def everything(varied):
        context, pull, found = jax.vjp(attend, varied, has_aux=True)
        return context, found, pull(TOWARD)[0]

    return everything


@functools.cache
def found_in(name):
    options = CASES[name]

    def attend(varied):
        # Blocks that do not divide the chunks.
        rest = {"summary": EVERY, "block_sizes": (2, 3), "implementation": "ring"}
        return streaming_attention(**options | varied, **rest)

    with jax.set_mesh(RING):
        return both_ways(attend)(varied_in(options))


@functools.cache
def reference_of(name):
    return Reference(**GIVEN, **CASES[name])


@EACH
def test_the_context_follows_the_formula(name):
    close(found_in(name)[0], reference_of(name).context)


@EACH
def test_the_summary_has_what_the_map_holds(name):
    check_summary(found_in(name)[1], reference_of(name), POOLED)


@EACH
def test_the_gradients_follow_the_formula(name):
    expected, gradients = reference_of(name).gradients(TOWARD), found_in(name)[2]
    assert expected.keys() == gradients.keys()
    for argument, gradient in gradients.items():
        close(gradient, expected[argument], 2e-5)


@pytest.mark.parametrize("name", ["causal", "everything"])
def test_rows_that_see_nothing_are_zero_with_zero_gradients(name):
    context, summary, gradients = found_in(name)
    is_empty = reference_of(name).is_empty
    assert 0 < is_empty.sum() < is_empty.size
    assert not np.moveaxis(context, -2, -3)[is_empty].any()
    assert not np.moveaxis(gradients["query"], -2, -3)[is_empty].any()
    assert (summary.top_indices[is_empty] == -1).all()
    assert (summary.max_logit[is_empty] == -jnp.inf).all()


def test_inside_of_shard_map_shards_go_in_and_come_out():
    # Masks and biases have the rows of a device and the columns of all; `sinks` are on each whole.
    of_tokens, of_rows, whole = P(None, "sequence"), P(None, None, "sequence"), P()
    options = CASES["everything"] | {"key_mask": booleans(B, K)}
    arrays = {n: options[n] for n in ("mask", "bias", "sinks", "segment_ids", "key_mask")} | GIVEN
    rest = {name: x for name, x in options.items() if name not in arrays}
    in_specs = dict.fromkeys(arrays, of_tokens) | {"mask": of_rows, "bias": of_rows}
    summaries = AttentionSummary(*(of_rows,) * 7, whole)

    def divided(check_vma=True):
        return jax.shard_map(
            lambda arrays: streaming_attention(**arrays, **rest, summary=EVERY),
            mesh=RING,
            in_specs=(in_specs | {"sinks": whole},),
            out_specs=(of_tokens, summaries),
            check_vma=check_vma,
        )

    varied = GIVEN | {name: arrays[name] for name in ("bias", "sinks")}
    context, found, gradients = both_ways(lambda varied: divided()(arrays | varied))(varied)
    mask = np.asarray(options.pop("mask")) & np.asarray(options.pop("key_mask"))[:, None, None]
    reference = Reference(**GIVEN, **options, mask=mask)
    close(context, reference.context)
    check_summary(found, reference, POOLED)
    for name, expected in reference.gradients(TOWARD).items():
        close(gradients[name], expected, 2e-5)
    unchecked_context, _ = jax.jit(divided(check_vma=False))(arrays)
    close(unchecked_context, reference.context)


def test_kernels_of_gpus_compute_the_parts_too(monkeypatch):
    def interpreted(*given):
        plan = plan_of(*given)
        return dataclasses.replace(plan, kernel="triton", interpret=True, sequential=False)

    monkeypatch.setattr(ring_attention, "plan_of", interpreted)
    arrays = [normal(32, 2, 16) for _ in range(3)]
    wanted = Summary(True, True, top_k=4, received=True, distance=True, pooled=(8, 4))
    rows, columns = P("sequence"), P(None, "sequence")
    divided = jax.shard_map(
        lambda *x: streaming_attention(*x, causal=True, block_sizes=(16, 16), summary=wanted),
        mesh=Mesh(jax.devices()[:2], ("sequence",)),
        in_specs=rows,
        out_specs=(rows, AttentionSummary(*(columns,) * 7, P())),
        check_vma=False,
    )
    context, found = jax.jit(divided)(*arrays)
    reference = Reference(*arrays, causal=True)
    close(context, reference.context)
    check_summary(found, reference, (8, 4))


@pytest.mark.parametrize("largest", [1.0, 30.0])
def test_to_five_digits_for_scores_up_to(largest):
    rng = np.random.default_rng(13)
    query, key, value = (jnp.asarray(rng.normal(size=(320, 2, 5)), jnp.float32) for _ in range(3))
    query *= largest / np.abs(0.125 * np.einsum("qhd,khd->hqk", query, key)).max()
    check_long(query, key, value)


@pytest.mark.parametrize("spread", [1, 150])
def test_to_five_digits_of_the_same_scores_up_to_ten_thousand(spread):
    rng = np.random.default_rng(17)
    query, key = (rng.integers(-spread, spread + 1, (320, 2, 5)) for _ in range(2))
    query[..., 0], key[..., 0] = rng.choice([-280, 280], (320, 2)), 280
    value = jnp.asarray(rng.normal(size=(320, 2, 5)), jnp.float32)
    check_long(*(jnp.asarray(x, jnp.float32) for x in (query, key)), value)


@jax.jit
def long(query, key, value):
    options = {"causal": True, "scale": 0.125, "implementation": "streaming"}
    wanted = Summary(True, True, top_k=8, received=True, distance=True, pooled=(16, 8))
    return streaming_attention(query, key, value, **options, summary=wanted)


def check_long(query, key, value):
    with jax.set_mesh(RING):
        context, found = long(query, key, value)
    reference = Reference(query, key, value, causal=True, scale=0.125)
    close(context, reference.context)
    check_summary(found, reference, (16, 8))


def test_what_nobody_on_any_device_may_see_cannot_leak():
    options = {"causal": True, "query_offset": -2, "mask": booleans(Q, K).at[:, 0].set(False)}
    hidden = ~np.isfinite(Reference(**GIVEN, **options).scores).any((0, 1, 2))
    assert 0 < hidden.sum() < K
    broken = GIVEN | {
        "key": jnp.where(hidden[None, :, None, None], jnp.nan, GIVEN["key"]),
        "value": jnp.where(hidden[None, :, None, None], jnp.inf, GIVEN["value"]),
    }

    def attend(varied):
        return streaming_attention(**varied, **options, summary=Summary(received=True))

    with jax.set_mesh(RING):
        everything = both_ways(attend)
        expected, actual = everything(GIVEN), everything(broken)
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


@pytest.mark.parametrize("size", [2, 3, 8])
def test_the_zigzag_gives_all_devices_the_same_work_at_every_hop(size):
    layout, chunk = Layout(Ring(size, True), 2), 3
    tokens = np.arange(2 * size * chunk).reshape(2 * size, chunk)
    places = [[int(layout.chunk(jnp.int32(d), jnp.int32(p))) for p in (0, 1)] for d in range(size)]
    assert sorted(np.ravel(places)) == [*range(2 * size)]
    of_device = [tokens[chunks].ravel() for chunks in places]
    for hop in range(size):
        seen = [
            (of_device[(d - hop) % size][None, :] <= of_device[d][:, None]).sum()
            for d in range(size)
        ]
        assert len(set(seen)) == 1


@pytest.mark.parametrize("size", [2, 3, 4])
def test_tokens_come_back_from_the_zigzag(size):
    layout = Layout(Ring(size, True), 2)
    mesh = Mesh(jax.devices()[:size], ("sequence",))
    there, back = (
        jax.jit(jax.shard_map(lambda x, f=f: f(x, 0), mesh=mesh, in_specs=P("sequence"),
                              out_specs=P("sequence")))
        for f in (layout.scatter, layout.gather)
    )  # fmt: skip
    tokens = np.arange(6 * size)
    chunks = tokens.reshape(2 * size, 3)
    expected = np.concatenate([chunks[[i, 2 * size - 1 - i]].ravel() for i in range(size)])
    np.testing.assert_array_equal(there(tokens), expected)
    np.testing.assert_array_equal(back(expected), tokens)
