"""How exact streaming attention and its summary are, and how little memory they take."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_attention import Reference, check_summary, close

from attn_jax.ops import Summary, attention_rows, streaming_attention

Q, K, D = 313, 701, 5
POOLED = (7, 11)
WANTED = Summary(True, True, top_k=8, received=True, distance=True, pooled=POOLED)
BLOCKS = (128, 384)


def normal(rng, *shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def sum_of_tiles(pooled, *sizes):
    """The sum of the weights, of the mean of each tile times how many weights it is of."""
    tiles = pooled.shape[-2:]
    spans = (np.diff(np.arange(g + 1) * t // g) for g, t in zip(tiles, sizes, strict=True))
    return (np.asarray(pooled, np.float64) * np.outer(*spans)).sum((-2, -1))


@jax.jit
def streamed(query, key, value, offset):
    options = {"causal": True, "query_offset": offset, "scale": 0.125}
    return streaming_attention(query, key, value, **options, block_sizes=BLOCKS, summary=WANTED)


def check(query, key, value, offset):
    reference = Reference(query, key, value, causal=True, query_offset=offset, scale=0.125)
    context, found = streamed(query, key, value, offset)
    close(context, reference.context)
    check_summary(found, reference, POOLED)
    return reference, found


@pytest.mark.parametrize("largest", [1.0, 10.0, 30.0])
def test_to_five_digits_for_scores_up_to(largest):
    rng = np.random.default_rng(13)
    query, key, value = normal(rng, Q, 2, D), normal(rng, K, 2, D), normal(rng, K, 2, 3)
    query *= largest / np.abs(0.125 * np.einsum("qhd,khd->hqk", query, key)).max()
    check(query, key, value, K - Q)


@pytest.mark.parametrize("spread", [1, 5, 150])
def test_to_five_digits_of_the_same_scores_up_to_ten_thousand(spread):
    """Whole numbers, over 8, whose products float32 holds exactly; few or many keys compete."""
    rng = np.random.default_rng(17)
    query, key = (rng.integers(-spread, spread + 1, (n, 2, D)) for n in (Q, K))
    query[..., 0], key[..., 0] = rng.choice([-280, 280], (Q, 2)), 280
    arrays = (jnp.asarray(x, jnp.float32) for x in (query, key))
    reference, found = check(*arrays, normal(rng, K, 2, 3), 40)
    assert 9_000 < np.abs(reference.max_logit).max() < 40_000
    assert np.asarray(found.received.sum(-1)) == pytest.approx(Q, rel=1e-6)


def test_rows_of_huge_scores_sum_to_one_and_nothing_overflows():
    rng = np.random.default_rng(19)
    query, key = 3e3 * normal(rng, Q, 2, D), normal(rng, K, 2, D)
    context, found = streamed(query, key, normal(rng, K, 2, 3), K - Q)
    assert 1e3 < jnp.abs(found.max_logit).max() < 2e4
    assert all(jnp.isfinite(x).all() for x in (context, *found))
    np.testing.assert_allclose(found.received.sum(-1), Q, rtol=1e-6)
    np.testing.assert_allclose(sum_of_tiles(found.pooled, Q, K), Q, rtol=1e-6)
    rows = attention_rows(
        query, key, rows=jnp.arange(0, Q, 31), causal=True, query_offset=K - Q, scale=0.125
    )
    np.testing.assert_allclose(rows.sum(-1), 1, rtol=1e-6)


@jax.jit
def small(query, key, mask, order):
    """Of keys as they are, and in another order."""

    def of(key, mask):
        wanted = Summary(True, True, top_k=5, received=True, pooled=(3, 4))
        return streaming_attention(query, key, key, mask=mask, block_sizes=(4, 8), summary=wanted)

    return of(key, mask), of(key[order], mask[:, order])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([0.0, 0.1, 1.0, 10.0, 1e3]),
    share=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
)
def test_what_always_holds(seed, size, share):
    rng = np.random.default_rng(seed)
    query, key, mask = (
        size * normal(rng, 11, 1, 3),
        normal(rng, 17, 1, 3),
        rng.random((11, 17)) < share,
    )
    order = rng.permutation(17)
    (context, found), (permuted, of_permuted) = small(query, key, mask, order)
    seeing = mask.any(-1).sum()
    assert float(found.received.sum()) == pytest.approx(seeing, abs=1e-4)
    assert sum_of_tiles(found.pooled, 11, 17) == pytest.approx(seeing, abs=1e-4)
    assert (np.diff(found.top_weights) <= 0).all()
    assert (found.top_weights >= 0).all()
    assert (found.entropy >= -1e-6).all()
    assert (found.entropy[0] <= np.log(np.maximum(mask.sum(-1), 1)) + 1e-5).all()
    np.testing.assert_array_equal(found.log_normalizer[0] > -np.inf, mask.any(-1))
    assert (found.max_logit <= found.log_normalizer).all()
    scale = max(1, float(jnp.abs(query).max()))
    np.testing.assert_allclose(of_permuted.received, found.received[..., order], atol=1e-5 * scale)
    np.testing.assert_allclose(permuted, context, atol=1e-5 * scale)


def temporaries(function, tokens):
    x = jax.ShapeDtypeStruct((tokens, 1, 8), jnp.float32)
    return jax.jit(function).lower(x, x, x).compile().memory_analysis().temp_size_in_bytes


def with_summary(query, key, value):
    wanted = Summary(True, True, top_k=8, received=True, distance=True, pooled=(128, 128))
    return streaming_attention(query, key, value, causal=True, summary=wanted)


def gradients(query, key, value):
    def loss(*given):
        return streaming_attention(*given, window=(999, 9)).sum()

    return jax.grad(loss, argnums=(0, 1, 2))(query, key, value)


@pytest.mark.parametrize("function", [streaming_attention, with_summary, gradients])
def test_memory_grows_with_the_tokens_and_not_with_their_square(function):
    few, many = (temporaries(function, tokens) for tokens in (8192, 16384))
    assert few < 8192**2 * 4 / 4
    assert many < 2.2 * few
