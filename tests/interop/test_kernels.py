"""Known kernels under their rules, beside softmax written by hand."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas.ops.gpu.attention import mha
from jax.experimental.pallas.ops.tpu import flash_attention as tpu
from jax.experimental.pallas.tpu import force_tpu_interpret_mode

from attn_jax.hooks import HookError, activation_grads, capture, intervene, patch, tap_attention
from attn_jax.interop import kernels

pytestmark = pytest.mark.filterwarnings("ignore")

SCALE = 0.3
SEGMENTS = jnp.arange(128)[None] // 37


def heads(size, features, layout):
    """Return queries, keys and values, `(b, tokens, h, d)` or `(b, h, tokens, d)`."""
    shape = {"bthd": (1, size, 2, features), "bhtd": (1, 2, size, features)}[layout]
    return tuple(jax.random.normal(rng, shape) for rng in jax.random.split(jax.random.key(0), 3))


def by_hand(query, key, value, layout, scale, mask, bias=0.0):
    """Return weights and context in float64, from the definition."""
    q, k, v = (np.asarray(x, np.float64) for x in (query, key, value))
    if layout == "bhtd":
        q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
    scores = np.where(mask, np.einsum("bqhd,bkhd->bhqk", q, k) * scale + bias, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    context = np.einsum("bhqk,bkhd->bqhd", weights, v)
    return weights, context.swapaxes(1, 2) if layout == "bhtd" else context


CAUSAL = np.tril(np.ones((128, 128), bool))
BIAS = jax.random.normal(jax.random.key(3), (1, 2, 128, 128))
SAME = np.asarray(SEGMENTS[:, None, :, None] == SEGMENTS[:, None, None, :])


def gpu(segment_ids=None, **options):
    def fn(query, key, value):
        return mha(query, key, value, segment_ids, interpret=True, **options)

    return fn


def on_tpu(**options):
    return functools.partial(tpu.flash_attention, **options)


def package(name):
    def fn(*operands):
        import flash_attention_jax

        return getattr(flash_attention_jax, name)(*operands)

    return fn


# The function, its layout and features, and by hand: scale, mask, bias.
CASES = {
    "GPU": (gpu(), "bthd", 16, 1.0, True, 0.0),
    "GPU, causal and scaled": (gpu(causal=True, sm_scale=SCALE), "bthd", 16, SCALE, CAUSAL, 0.0),
    "GPU, segments": (gpu(SEGMENTS, sm_scale=SCALE), "bthd", 16, SCALE, SAME, 0.0),
    "GPU, causal in segments": (
        gpu(SEGMENTS, causal=True, sm_scale=SCALE),
        "bthd",
        16,
        SCALE,
        SAME & CAUSAL,
        0.0,
    ),
    "TPU": (on_tpu(), "bhtd", 128, 1.0, True, 0.0),
    "TPU, causal and scaled": (
        on_tpu(causal=True, sm_scale=SCALE),
        "bhtd",
        128,
        SCALE,
        CAUSAL,
        0.0,
    ),
    "TPU, biased": (
        on_tpu(ab=BIAS, sm_scale=SCALE),
        "bhtd",
        128,
        SCALE,
        True,
        SCALE * np.asarray(BIAS),
    ),
    "TPU, segments": (
        on_tpu(segment_ids=tpu.SegmentIds(SEGMENTS, SEGMENTS), causal=True, sm_scale=SCALE),
        "bhtd",
        128,
        SCALE,
        SAME & CAUSAL,
        0.0,
    ),
    "flash-attention-jax, causal": (
        package("causal_flash_attention"),
        "bhtd",
        16,
        0.25,
        CAUSAL,
        0.0,
    ),
}


@pytest.fixture(autouse=True)
def interpreted(request):
    """Let Pallas' TPU kernels run here, and their ranks be promoted."""
    before = jax.config.jax_numpy_rank_promotion
    jax.config.update("jax_numpy_rank_promotion", "allow")
    is_tpu = "TPU" in request.node.name
    with force_tpu_interpret_mode() if is_tpu else contextlib.nullcontext():
        yield
    jax.config.update("jax_numpy_rank_promotion", before)


@pytest.mark.parametrize("case", CASES)
def test_a_known_kernel_has_the_weights_of_its_definition(case):
    fn, layout, features, scale, mask, bias = CASES[case]
    if not case.startswith("GPU"):
        pytest.importorskip("flash_attention_jax", reason="left to `make interop`")
    inputs = heads(128, features, layout)
    weights, context = by_hand(*inputs, layout, scale, mask, bias)
    tapped = tap_attention(fn, rules=kernels.RULES)

    out, captured = jax.jit(capture(tapped, ["weights", "summary"]))(*inputs)
    np.testing.assert_allclose(out, context, atol=3e-5)
    np.testing.assert_allclose(captured["weights"], weights, atol=3e-5)
    entropy = -(weights * np.log(np.where(weights > 0, weights, 1.0))).sum(-1)
    np.testing.assert_allclose(captured["summary"].entropy, entropy, atol=1e-4)

    # What the kernel computes decides the result, until somebody edits it.
    head_axis = 2 if layout == "bthd" else 1
    silenced = jax.jit(intervene(tapped, {"weights": patch(0.0, heads=[1])}))(*inputs)
    context[(slice(None),) * head_axis + (1,)] = 0.0
    np.testing.assert_allclose(silenced, context, atol=3e-5)


def test_gradients_of_a_kernel_reach_its_weights():
    fn, layout, features, *_ = CASES["GPU, causal and scaled"]
    query, key, value = heads(128, features, layout)
    factors = jax.random.normal(jax.random.key(5), query.shape)
    tapped = tap_attention(fn, rules=kernels.RULES)

    def loss(*inputs):
        return (tapped(*inputs) * factors).sum()

    gradients = jax.jit(activation_grads(loss, "weights"))(query, key, value)["weights"]
    expected = np.einsum("bqhd,bkhd->bhqk", factors, value)
    np.testing.assert_allclose(gradients, expected, atol=1e-4)


def test_without_a_rule_a_kernel_is_out_of_reach():
    fn, layout, features, *_ = CASES["GPU"]
    with pytest.raises(HookError, match="pallas_call"):
        tap_attention(fn)(*heads(128, features, layout))


def test_a_rule_for_a_kernel_of_ones_own():
    @jax.jit
    def my_kernel(query, key, value):
        return jax.nn.dot_product_attention(query, key, value, is_causal=True)

    def my_rule(eqn):
        if eqn.params.get("name") != "my_kernel":
            return None

        def tap_call(results, operands):
            query, key, value = operands
            return [kernels.tap_context(results[0], query, key, value, causal=True)]

        return tap_call

    inputs = heads(128, 16, "bthd")
    weights, _ = by_hand(*inputs, "bthd", 0.25, CAUSAL)
    fn = tap_attention(my_kernel, rules=[my_rule])
    captured = capture(fn, "weights")(*inputs)[1]
    np.testing.assert_allclose(captured["weights"], weights, atol=1e-5)
