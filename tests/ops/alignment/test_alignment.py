"""What monotonic readers, chunks and moving windows promise beyond their formulas."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_jax import ops

Q, K = 4, 7
soft, hard = jax.jit(ops.soft_monotonic), jax.jit(ops.hard_monotonic)


def hard_reader(scores, mask, start=0):
    """Raffel 2017, algorithm 1: one index a query, or None from where all keys were passed by."""
    stops = []
    for row, seen in zip(scores, mask, strict=True):
        if not seen.any():
            stops.append(None)
            continue
        begin, start = start, None
        for j in range(begin, K) if begin is not None else ():
            if seen[j] and row[j] >= 0:
                start = j
                break
        stops.append(start)
    return stops


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.floats(-2, 2))
def test_a_hard_reader_is_the_algorithm(seed, shift):
    rng = np.random.default_rng(seed)
    scores = np.float32(rng.normal(size=(Q, K)) + shift)
    mask = rng.random((Q, K)) < 0.8
    weights = np.asarray(hard(scores, mask=jnp.asarray(mask)))
    for row, stop in zip(weights, hard_reader(scores, mask), strict=True):
        np.testing.assert_array_equal(row, np.zeros(K) if stop is None else np.eye(K)[stop])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.1, 3.0, 100.0, 1e4]))
def test_a_soft_reader_only_moves_on(seed, scale):
    rng = np.random.default_rng(seed)
    scores = np.float32(scale * rng.normal(size=(Q, K)))
    weights = np.asarray(soft(scores))
    assert np.all(np.isfinite(weights))
    assert np.all(weights >= 0)
    assert np.all(weights.sum(-1) <= 1 + 1e-5)
    # No later query has more of its weight on the left of any place, counting what has passed by.
    ahead = weights[..., ::-1].cumsum(-1) + 1 - weights.sum(-1, keepdims=True)
    assert np.all(np.diff(ahead, axis=0) >= -1e-5)
    if np.abs(scores).min() > 30:  # hardly any hesitation left
        np.testing.assert_allclose(weights, hard(scores), atol=1e-6)


def test_extreme_scores_have_finite_gradients():
    scores = jnp.array([[1e4, -1e4, 0.0, -jnp.inf], [-1e4, -1e4, 1e4, 3.0], [88.0, -88, -104, 0]])
    gradient = jax.grad(lambda s: (ops.soft_monotonic(s) ** 2).sum())(scores)
    assert jnp.isfinite(gradient).all()


def test_step_by_step_is_all_at_once():
    rng = np.random.default_rng(0)
    scores = jnp.asarray(rng.normal(size=(2, Q, K)), jnp.float32)
    whole = soft(scores)
    previous = None
    for i in range(Q):
        step = ops.soft_monotonic(scores[:, i : i + 1], state=previous)
        np.testing.assert_allclose(step, whole[:, i : i + 1], atol=1e-6)
        previous = step[:, 0]


def test_windows_of_a_mixture_go_on_step_by_step():
    rng = np.random.default_rng(0)
    query, w, b = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((3, 5), (5, 6), (6,)))
    whole = ops.gaussian_mixture(query, w=w, b=b)
    previous = None
    for i in range(3):
        step = ops.gaussian_mixture(query[i : i + 1], w=w, b=b, state=previous)
        np.testing.assert_allclose(step.position, whole.position[i : i + 1], rtol=1e-5)
        previous = step.position[0]


def test_a_chunk_of_one_is_the_alignment():
    rng = np.random.default_rng(0)
    scores = jnp.asarray(rng.normal(size=(2, Q, K)), jnp.float32)
    alignment = soft(scores)
    np.testing.assert_allclose(
        ops.chunkwise_weights(alignment, 9 * scores, 1), alignment, atol=1e-6
    )


def test_a_large_score_blots_out_no_other_chunk():
    alignment = jnp.eye(K)
    scores = jnp.zeros((K, K)).at[:, 0].set(1e4)
    weights = ops.chunkwise_weights(alignment, scores, 2)
    np.testing.assert_allclose(weights[4], [0, 0, 0, 0.5, 0.5, 0, 0], atol=1e-6)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)


def test_scores_in_blocks_are_the_scores():
    rng = np.random.default_rng(0)
    shapes = (2, Q, 5), (2, K, 3), (5, 11), (3, 11), (11,)
    query, key, w_query, w_key, v = (
        jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes
    )

    def total(block_size, *arrays):
        query, key, w_query, w_key, v = arrays
        scores = ops.additive_scores(
            query, key, w_query=w_query, w_key=w_key, v=v, block_size=block_size
        )
        return (scores**2).sum(), scores

    arrays = query, key, w_query, w_key, v
    gradients = functools.partial(jax.grad, argnums=(1, 2, 3, 4, 5), has_aux=True)
    run = jax.jit(gradients(total), static_argnums=0)
    plain = run(None, *arrays)
    for block_size in (1, 3):
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4),
            run(block_size, *arrays),
            plain,
        )


def test_keys_may_be_projected_before():
    rng = np.random.default_rng(0)
    query, key, w_query, w_key, v = (
        jnp.asarray(rng.normal(size=shape), jnp.float32)
        for shape in ((2, Q, 5), (2, K, 3), (5, 11), (3, 11), (11,))
    )
    parameters = {"w_query": w_query, "v": v, "b": v}
    whole = ops.additive_attention(query, key, key, w_key=w_key, **parameters)
    before = ops.additive_attention(query, key @ w_key, key, w_key=None, **parameters)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), before, whole)


def test_blocked_additive_attention_never_holds_the_hidden_layer_of_all_pairs():
    """At 2,048 x 2,048 x 128 that layer alone would be 2 GiB."""
    tokens, features = 2048, 128
    array = jax.ShapeDtypeStruct((tokens, features), jnp.float32)
    w, v = (jax.ShapeDtypeStruct(s, jnp.float32) for s in ((features, features), (features,)))

    def context(query, key, value, w_query, w_key, v):
        return ops.additive_attention(
            query, key, value, w_query=w_query, w_key=w_key, v=v, block_size=1
        )[0]

    def gradients(*args):
        return jax.grad(lambda *a: (context(*a) ** 2).sum(), argnums=tuple(range(6)))(*args)

    for function in (context, gradients):
        compiled = jax.jit(function).lower(array, array, array, w, w, v).compile()
        assert compiled.memory_analysis().temp_size_in_bytes <= 64 * 2**20
