"""ALiBi and T5's relative bias, number by number."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import ops
from attn_jax.hooks import capture


@pytest.mark.parametrize(
    ("heads", "slopes"),
    [
        (1, [2**-8]),
        (4, [2**-2, 2**-4, 2**-6, 2**-8]),
        (3, [2**-4, 2**-8, 2**-2]),
        (6, [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]),
    ],
)
def test_slopes_by_hand(heads, slopes):
    np.testing.assert_allclose(ops.alibi_slopes(heads), slopes, rtol=1e-6)


def test_alibi_falls_with_distance():
    bias, slopes = (
        np.asarray(ops.alibi_bias(2, 5, num_heads=3, query_offset=1)),
        [2**-4, 2**-8, 2**-2],
    )
    for h, i, j in np.ndindex(3, 2, 5):
        assert bias[h, i, j] == -slopes[h] * abs(i + 1 - j)


def bucket(offset, buckets, longest, causal):
    """The bucket of a key `offset` places after its query, as section 2.1 describes it."""
    first = 0
    if not causal:
        buckets //= 2
        first = buckets if offset > 0 else 0
    distance = max(-offset, 0) if causal else abs(offset)
    exact = buckets // 2
    if distance < exact:
        return first + distance
    share = math.log(distance / exact) / math.log(longest / exact)
    return first + min(buckets - 1, exact + int(share * (buckets - exact) + 1e-9))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("buckets", "longest"), [(32, 128), (12, 29), (8, 17)])
def test_buckets_one_by_one(causal, buckets, longest):
    found = ops.t5_buckets(
        53, 61, num_buckets=buckets, max_distance=longest, causal=causal, query_offset=5
    )
    expected = [[bucket(j - i - 5, buckets, longest, causal) for j in range(61)] for i in range(53)]
    np.testing.assert_array_equal(found, expected)


def test_the_bias_looks_its_bucket_up():
    table = jnp.asarray(np.random.default_rng(7).normal(size=(8, 3)), jnp.float32)
    bias = np.asarray(ops.t5_relative_bias(5, 7, table=table, max_distance=9))
    buckets = np.asarray(ops.t5_buckets(5, 7, num_buckets=8, max_distance=9))
    numbers = np.asarray(table)
    for h, i, j in np.ndindex(3, 5, 7):
        assert bias[h, i, j] == numbers[buckets[i, j], h]
    grad = jax.jit(jax.grad(lambda t: ops.t5_relative_bias(5, 7, table=t, max_distance=9).sum()))
    counts = grad(table)
    np.testing.assert_array_equal(counts[:, 0], np.bincount(np.ravel(buckets), minlength=8))


def test_the_offset_may_be_traced_and_is_that_of_the_row():
    table = jnp.asarray(np.random.default_rng(8).normal(size=(8, 3)), jnp.float32)
    row = jax.jit(lambda n: ops.t5_relative_bias(1, 7, table=table, query_offset=n, max_distance=9))
    whole = ops.t5_relative_bias(7, 7, table=table, max_distance=9)
    slope = jax.jit(lambda n: ops.alibi_bias(1, 7, num_heads=3, query_offset=n))
    for i in (0, 4):
        np.testing.assert_array_equal(row(i)[:, 0], whole[:, i])
        np.testing.assert_array_equal(slope(i)[:, 0], ops.alibi_bias(7, 7, num_heads=3)[:, i])
    both = row(jnp.array([4, 0]))
    assert both.shape == (2, 3, 1, 7)
    np.testing.assert_array_equal(both[:, :, 0], jnp.stack([whole[:, 4], whole[:, 0]]))


def test_they_enter_the_fused_attention():
    x = jnp.ones((5, 3, 2))
    bias = ops.alibi_bias(5, 5, num_heads=3)
    attend = functools.partial(ops.attention, bias=bias, causal=True)
    _, captured = jax.jit(capture(attend, "weights"))(x, x, x)
    slope = 2**-2
    row = np.exp([-slope * 2, -slope, 0])
    np.testing.assert_allclose(captured["weights"][2, 2, :3], row / row.sum(), rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.alibi_slopes(0), "num_heads=0 must be at least 1"),
        (lambda: ops.t5_buckets(2, 2, num_buckets=7), "num_buckets=7 must be even"),
        (lambda: ops.t5_buckets(2, 2, num_buckets=1, causal=True), "must be at least 2"),
        (lambda: ops.t5_buckets(2, 2, max_distance=8), "max_distance=8 must exceed 8"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
