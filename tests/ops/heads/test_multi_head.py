"""Multi-head attention against NumPy loops written from the paper."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_jax import ops

B, Q, K, D_Q, D_K, D_V, D, E, OUT = 2, 3, 5, 7, 11, 13, 4, 6, 17
RNG = np.random.default_rng(1)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def example(heads, key_heads):
    arrays = normal(B, Q, D_Q), normal(B, K, D_K), normal(B, K, D_V)
    return arrays, {
        "w_query": normal(D_Q, heads, D) / math.sqrt(D_Q),
        "w_key": normal(D_K, key_heads, D) / math.sqrt(D_K),
        "w_value": normal(D_V, key_heads, E) / math.sqrt(D_V),
        "w_out": normal(heads, E, OUT),
    }


def as_jax(function):
    """`check_grads` steps with NumPy arrays; the shape checks want JAX's."""
    return lambda *args: function(*jax.tree.map(jnp.asarray, args))


def reference(query, key, value, w_query, w_key, w_value, w_out, mask):
    heads, group = w_query.shape[1], w_query.shape[1] // w_key.shape[1]
    out, weights = np.zeros((B, Q, OUT)), np.zeros((B, heads, Q, K))
    for b in range(B):
        for h in range(heads):
            q, k = query[b] @ w_query[:, h], key[b] @ w_key[:, h // group]
            v = value[b] @ w_value[:, h // group]
            for i in range(Q):
                allowed = [j for j in range(K) if mask[b, h, i, j]]
                e = {j: math.exp(float(q[i] @ k[j]) / math.sqrt(D)) for j in allowed}
                for j in allowed:
                    weights[b, h, i, j] = e[j] / sum(e.values())
            out[b] += weights[b, h] @ v @ w_out[h]
    return out, weights


@pytest.mark.parametrize(("heads", "key_heads"), [(3, 3), (6, 2), (5, 1)])
def test_it_is_the_formula_of_the_paper(heads, key_heads):
    arrays, parameters = example(heads, key_heads)
    mask = RNG.random((B, heads, Q, K)) < 0.7
    mask[0, 0, 1] = False
    out, weights = ops.multi_head_attention(*arrays, **parameters, mask=jnp.asarray(mask))
    arrays, parameters = jax.tree.map(np.asarray, (arrays, parameters))
    expected, expected_weights = reference(*arrays, **parameters, mask=mask)
    np.testing.assert_allclose(weights, expected_weights, atol=1e-5)
    np.testing.assert_allclose(out, expected, atol=2e-5)


def test_gradients():
    arrays, parameters = example(6, 2)
    mask = jnp.asarray(RNG.random((Q, K)) < 0.7)
    check_grads(
        as_jax(lambda arrays, p: ops.multi_head_attention(*arrays, **p, mask=mask)),
        (arrays, parameters),
        order=1,
        modes=["rev"],
        atol=2e-2,
        rtol=2e-2,
    )


def test_what_no_head_may_see_cannot_matter():
    (query, key, value), parameters = example(3, 3)
    mask = jnp.ones((1, 3, Q, K), bool).at[..., 2].set(False)

    def total(query, key, value):
        return (ops.multi_head_attention(query, key, value, mask=mask, **parameters)[0] ** 2).sum()

    clean = jax.value_and_grad(total, argnums=(0, 1, 2))(query, key, value)
    key, value = key.at[:, 2].set(jnp.nan), value.at[:, 2].set(jnp.nan)
    poisoned = jax.value_and_grad(total, argnums=(0, 1, 2))(query, key, value)
    jax.tree.map(np.testing.assert_array_equal, clean, poisoned)


@pytest.mark.usefixtures("unchecked")
def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="key has 3 heads, which do not divide the 5 heads"):
        ops.multi_head_scores(jnp.ones((2, 5, 4)), jnp.ones((2, 3, 4)))
