"""Attention detected in models without taps, against the weights that they can return."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from jax import lax

from attn_jax import ops
from attn_jax.hooks import HookError, find_attention

B, T, H, D, FEATURES = 2, 7, 3, 5, 15
X = jnp.asarray(np.random.default_rng(3).normal(size=(B, T, FEATURES)), jnp.float32)
MASK = jnp.tril(jnp.ones((1, 1, T, T), bool))


def linen_model():
    model = linen.MultiHeadDotProductAttention(num_heads=H, name="mixer", parent=None)
    variables = model.init(jax.random.key(0), X)
    _, sown = model.apply(variables, X, mask=MASK, sow_weights=True, mutable=["intermediates"])
    weights = sown["intermediates"]["attention_weights"][0]
    return (lambda x: model.apply(variables, x, mask=MASK)), weights


@pytest.mark.parametrize(
    "wrap", [lambda f: f, jax.jit, jax.checkpoint], ids=["bare", "jit", "remat"]
)
def test_linen(wrap):
    fn, weights = linen_model()
    captured = find_attention(wrap(fn))(X)
    assert list(captured) == ["mixer.weights"]
    np.testing.assert_allclose(captured["mixer.weights"], weights, rtol=1e-6, atol=1e-7)


def test_nnx():
    model = nnx.MultiHeadAttention(H, FEATURES, decode=False, rngs=nnx.Rngs(0))
    (weights,) = find_attention(lambda x: model(x))(X).values()
    project = [f(X) for f in (model.query, model.key)]
    expected = linen.dot_product_attention_weights(*project)
    np.testing.assert_allclose(weights.reshape(expected.shape), expected, rtol=1e-5, atol=1e-6)


def test_equinox():
    model = eqx.nn.MultiheadAttention(H, FEATURES, key=jax.random.key(0))
    (weights,) = jax.vmap(find_attention(lambda x: model(x, x, x)))(X).values()
    query, key = (jax.vmap(jax.vmap(f))(X) for f in (model.query_proj, model.key_proj))
    expected = linen.dot_product_attention_weights(*(x.reshape(B, T, H, D) for x in (query, key)))
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-6)


def test_layers_of_a_scan_are_stacked():
    def layer(x, scale):
        with jax.named_scope("layers"):
            return jax.nn.softmax(scale * x @ x.T) @ x, None

    def fn(x):
        return lax.scan(layer, x, jnp.array([1.0, 2.0]))[0]

    weights = find_attention(fn)(X[0])["layers.*.weights"]
    assert weights.shape == (2, T, T)
    np.testing.assert_allclose(weights[0], jax.nn.softmax(X[0] @ X[0].T), rtol=1e-5, atol=1e-6)


def test_this_library_is_found_too():
    x = X.reshape(B, T, H, D)
    (weights,) = find_attention(lambda x: ops.attention(x, x, x, softcap=2.0))(x).values()
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)


def test_a_softmax_that_multiplies_nothing_is_no_attention():
    with pytest.raises(HookError, match="no attention was found"):
        find_attention(lambda x: jax.nn.softmax(x @ x.T).sum())(X[0])
