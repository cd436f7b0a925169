"""The kernels of streaming attention, step by step on the CPU, against NumPy in float64."""

import dataclasses
import itertools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.ops import Summary, attention, devices, streaming_attention
from attn_jax.ops.fused import attention as fused
from attn_jax.ops.reference.derived import AttentionFormula
from attn_jax.ops.reference.operands import Call
from attn_jax.ops.streaming import attention as streamed
from attn_jax.ops.streaming import plan as streaming_plan

B, H, KEY_HEADS, D, E = 2, 6, 3, 7, 5
SIZES = {"triton": (131, 197), "mosaic": (263, 521)}
TILES = (11, 13)
ALL = Summary(entropy=True, max_logit=True, received=True, distance=True, pooled=TILES, top_k=3)
RNG = np.random.default_rng(11)
KERNELS = pytest.mark.parametrize("kernel", SIZES)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def operands(kernel):
    num_queries, num_keys = SIZES[kernel]
    shapes = (num_queries, H, D), (num_keys, KEY_HEADS, D), (num_keys, KEY_HEADS, E)
    return tuple(normal(B, *shape) for shape in shapes)


def options_of_keys(num_queries, num_keys):
    hidden = jnp.where(jnp.arange(num_keys) % 5 == 3, -jnp.inf, normal(num_keys))
    segments = tuple(jnp.sort(RNG.integers(0, 7, (B, n)), axis=1) for n in (num_queries, num_keys))
    return {
        "plain": {},
        "causal": {"causal": True, "query_offset": 59},
        "causal, empty rows": {"causal": True, "query_offset": -17, "softcap": 0.7},
        "window": {"window": (41, 3), "query_offset": 7, "sinks": normal(H)},
        "keys hidden": {"mask": jnp.arange(num_keys) % 3 > 0, "bias": hidden},
        "keys of each": {"mask": jnp.asarray(RNG.random((B, 1, 1, num_keys)) < 0.6), "scale": 0.9},
        "segments": {"segment_ids": segments, "causal": True, "bias": normal(1, H, 1, num_keys)},
    }


OPTIONS = {kernel: options_of_keys(*sizes) for kernel, sizes in SIZES.items()}
CASES = [("triton", name) for name in OPTIONS["triton"]]
CASES += [("mosaic", name) for name in ("window", "keys hidden", "segments")]


def reference(
    query, key, value, mask=True, bias=0.0, causal=False, query_offset=0, window=None,
    scale=None, softcap=None, sinks=None, segment_ids=None,
):  # fmt: skip
    """The context and the summary, from the whole map."""
    query, key, value = (np.moveaxis(np.asarray(x, np.float64), 2, 1) for x in (query, key, value))
    num_queries, num_keys = query.shape[2], key.shape[2]
    key, value = (x.repeat(H // KEY_HEADS, axis=1) for x in (key, value))
    scores = query @ key.swapaxes(2, 3) * (D**-0.5 if scale is None else scale)
    scores = scores if softcap is None else softcap * np.tanh(scores / softcap)
    scores = np.where(mask, scores + np.asarray(bias, np.float64), -np.inf)
    away = np.arange(num_keys)[None, :] - np.arange(num_queries)[:, None] - query_offset
    left, right = window or (num_keys + num_queries,) * 2
    scores = np.where((away >= -left) & (away <= (0 if causal else right)), scores, -np.inf)
    if segment_ids is not None:
        queries, keys = (np.asarray(ids) for ids in segment_ids)
        scores = np.where((queries[:, :, None] == keys[:, None, :])[:, None], scores, -np.inf)
    total = np.exp(scores).sum(axis=-1)
    total += 0 if sinks is None else np.exp(np.asarray(sinks, np.float64))[:, None]
    weights = np.exp(scores) / np.where(total == 0, 1, total)[..., None]
    with np.errstate(divide="ignore"):
        surprise = -np.log(np.where(weights > 0, weights, 1))
        log_normalizer = np.log(total)
    return np.moveaxis(weights @ value, 1, 2), {
        "log_normalizer": log_normalizer,
        "entropy": (weights * surprise).sum(axis=-1),
        "max_logit": scores.max(axis=-1),
        "received": weights.sum(axis=-2),
        "distance": (weights * abs(away)).sum(axis=-1),
        "pooled": pooled(weights),
        "top_weights": -np.sort(-weights, axis=-1)[..., :3],
        "weights": weights,
    }


def pooled(weights):
    edges = [np.arange(g + 1) * t // g for g, t in zip(TILES, weights.shape[2:], strict=True)]
    rows, columns = ([slice(*ends) for ends in itertools.pairwise(e)] for e in edges)
    means = [weights[:, :, row, column].mean(axis=(2, 3)) for row in rows for column in columns]
    return np.stack(means, axis=-1).reshape(B, H, *TILES)


@pytest.fixture
def on_device(monkeypatch):
    """Let calls be computed as on a device, by its kernels, which are interpreted."""

    def choose(kernel):
        def plan(*args):
            return dataclasses.replace(plan_of(*args), kernel=kernel, interpret=True)

        plan_of = streaming_plan.plan_of
        for door in (fused, streamed):
            monkeypatch.setattr(door, "plan_of", plan)
        monkeypatch.setattr(streaming_plan, "_on_cpu", lambda: False)

    return choose


def attend(*arrays, **options):
    return jax.jit(lambda *arrays: streaming_attention(*arrays, **options))(*arrays)


def assert_close(found, expected, tolerance=1e-5):
    found, expected = np.asarray(found, np.float64), np.asarray(expected)
    np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))
    found, expected = (x[np.isfinite(expected)] for x in (found, expected))
    error = abs(found - expected) / np.maximum(1, abs(expected))
    assert np.all(error <= tolerance), error.max()


@pytest.mark.parametrize(("kernel", "name"), CASES)
def test_equals_the_whole_map(on_device, kernel, name):
    arrays, options = operands(kernel), OPTIONS[kernel][name]
    on_device(kernel)
    context, summary = attend(*arrays, summary=ALL, **options)
    expected, known = reference(*arrays, **options)
    assert_close(context, expected)
    weights, at = known.pop("weights"), np.asarray(summary.top_indices)
    np.testing.assert_array_equal(at < 0, known["top_weights"] == 0)
    assert_close(np.take_along_axis(weights, at, axis=-1)[at >= 0], summary.top_weights[at >= 0])
    for field, value in known.items():
        assert_close(getattr(summary, field), value)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision(on_device, dtype):
    arrays = [x.astype(dtype) for x in operands("triton")]
    on_device("triton")
    context, summary = attend(*arrays, causal=True, query_offset=5, summary=ALL)
    expected, known = reference(*arrays, causal=True, query_offset=5)
    del known["weights"]
    assert context.dtype == dtype
    assert_close(context, expected, 1e-2)
    for field, value in known.items():
        assert_close(getattr(summary, field), value, 1e-2)


@KERNELS
def test_large_scores_lose_nothing(on_device, kernel):
    query, key, value = operands(kernel)
    on_device(kernel)
    _, summary = attend(3e3 * query, key, value, summary=ALL)
    assert abs(summary.max_logit).max() > 1e4
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(summary))
    assert_close(summary.received.sum(axis=-1), np.full((B, H), SIZES[kernel][0]))


def test_a_query_sees_fewer_than_the_largest(on_device):
    arrays = operands("triton")
    on_device("triton")
    _, found = attend(*arrays, causal=True, summary=Summary(top_k=5))
    assert found.top_indices[0, 0, 0].tolist() == [0, -1, -1, -1, -1]
    assert sorted(found.top_indices[1, 4, 2].tolist()) == [-1, -1, 0, 1, 2]
    np.testing.assert_allclose(found.top_weights[1, 2, :5].sum(axis=-1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("limits", "programs"), [(None, 5), ((16, 32), 9), ((77, 21), 3), ((5, 999), 9)]
)
def test_blocks_are_powers_of_two_within_the_limits(on_device, limits, programs):
    query, key, value = operands("triton")
    on_device("triton")

    def call(*arrays):
        return streaming_attention(*arrays, block_sizes=limits)

    assert_close(jax.jit(call)(query, key, value), reference(query, key, value)[0])
    assert f"grid=({programs}, {H}, {B})" in str(jax.make_jaxpr(call)(query, key, value))


def test_hidden_nan_reaches_nothing(on_device):
    query, key, value = operands("triton")
    mask = OPTIONS["triton"]["keys of each"]["mask"]
    hidden = ~jnp.broadcast_to(mask, (B, 1, 1, key.shape[1]))[:, 0, 0, :, None, None]
    on_device("triton")
    dirty = attend(
        query, jnp.where(hidden, jnp.nan, key), jnp.where(hidden, jnp.inf, value), mask=mask
    )
    assert_close(dirty, reference(query, key, value, mask)[0])


def test_gradients(on_device):
    arrays = tuple(x[..., :E] for x in operands("triton"))

    def total(implementation, arrays):
        return jnp.sin(attention(*arrays, causal=True, implementation=implementation)).sum()

    expected = jax.grad(lambda x: total("xla", x))(arrays)
    on_device("triton")
    found = jax.jit(jax.grad(lambda x: total("streaming", x)))(arrays)
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other)


@KERNELS
def test_under_vmap(on_device, kernel):
    arrays = operands(kernel)
    on_device(kernel)
    sinks = normal(B, H)
    found = jax.vmap(lambda q, k, v, s: attend(q, k, v, sinks=s))(*arrays, sinks)
    expected = reference(*arrays, sinks=sinks[0])[0][0], reference(*arrays, sinks=sinks[1])[0][1]
    assert_close(found, np.stack(expected))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("name", ["plain", "window", "keys hidden", "segments"])
@pytest.mark.parametrize(
    ("kernel", "platform", "call"),
    [("triton", "cuda", "__gpu$xla.gpu.triton"), ("mosaic", "tpu", "tpu_custom_call")],
)
def test_lowers_without_a_device(monkeypatch, kernel, platform, call, name, dtype):
    monkeypatch.setattr(streaming_plan, "kernel_for", lambda call: kernel)
    monkeypatch.setattr(streaming_plan, "_on_cpu", lambda: False)
    arrays = [x.astype(dtype) for x in operands(kernel)]

    def run(*arrays):
        return streaming_attention(*arrays, summary=ALL, **OPTIONS[kernel][name])

    text = jax.jit(run).trace(*arrays).lower(lowering_platforms=(platform,)).as_text()
    assert text.count(f"@{call}(") == 3


@pytest.mark.parametrize(
    ("kind", "capability", "expected"),
    [
        ("NVIDIA H100", "9.0", "triton"),
        ("NVIDIA A100", "8.0", "triton"),
        ("NVIDIA T4", "7.5", None),
        ("MI300X", "9.4", None),
        ("cpu", None, None),
    ],
)
def test_which_devices_have_kernels(monkeypatch, kind, capability, expected):
    device = types.SimpleNamespace(device_kind=kind, compute_capability=capability or 0)
    monkeypatch.setattr(jax, "devices", lambda: [device])
    assert devices.kernel_compiler() == expected


def test_which_calls_have_kernels(monkeypatch):
    monkeypatch.setattr(streaming_plan, "kernel_compiler", lambda: "triton")
    query, key, value = operands("triton")
    mask, wide = jnp.ones((1, 1, 131, 197), bool), jnp.ones((B, 197, KEY_HEADS, 129))

    def kernel(query=query, value=value, **optional):
        return streaming_plan.kernel_for(Call(AttentionFormula(), query, key, value, optional))

    assert kernel() == "triton"
    assert kernel(mask=mask[:, :, :1]) == "triton"
    assert kernel(mask=mask) is None
    assert kernel(value=wide) is None
    assert kernel(query=query[:, :0]) is None


def test_long_calls_that_cudnn_does_not_take_are_streamed(monkeypatch):
    device = types.SimpleNamespace(device_kind="NVIDIA H100", compute_capability="9.0")
    monkeypatch.setattr(jax, "devices", lambda: [device])
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")

    def streams(tokens, dtype, **options):
        x = jnp.zeros((tokens, 2, 64), dtype)
        return fused._streaming_wins(Call(AttentionFormula(**options), x, x, x))

    assert not streams(1024, jnp.float32)
    assert streams(8192, jnp.float32)
    assert not streams(8192, jnp.bfloat16)
    assert streams(8192, jnp.bfloat16, softcap=30.0)
