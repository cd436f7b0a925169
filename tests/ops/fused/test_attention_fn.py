"""Stock modules of Flax, with the observable attention in place of theirs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from attn_jax import ops
from attn_jax.hooks import capture, intervene

X = jnp.asarray(np.random.default_rng(5).normal(size=(2, 7, 15)), jnp.float32)
MASK = linen.make_causal_mask(X[..., 0])
OPTIONS = {"num_heads": 3, "deterministic": True, "dropout_rate": 0.1}


def test_linen_computes_the_same_and_its_weights_can_be_captured():
    stock = linen.MultiHeadDotProductAttention(**OPTIONS)
    ours = stock.clone(attention_fn=ops.attention_fn)
    variables = stock.init(jax.random.key(0), X)
    wanted, sown = stock.apply(variables, X, mask=MASK, sow_weights=True, mutable=["intermediates"])
    out, captured = jax.jit(capture(ours.apply, "weights"))(variables, X, mask=MASK)
    np.testing.assert_allclose(out, wanted, rtol=1e-5, atol=1e-6)
    (weights,) = sown["intermediates"]["attention_weights"]
    np.testing.assert_allclose(captured["weights"], weights, rtol=1e-5, atol=1e-6)


def test_nnx_computes_the_same_and_its_weights_can_be_edited():
    stock = nnx.MultiHeadAttention(3, 15, decode=False, rngs=nnx.Rngs(0))
    ours = nnx.MultiHeadAttention(
        3, 15, decode=False, rngs=nnx.Rngs(0), attention_fn=ops.attention_fn
    )
    out, captured = capture(lambda x: ours(x), "weights")(X)
    np.testing.assert_allclose(out, stock(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(captured["weights"].sum(-1), 1, rtol=1e-6)
    silenced = intervene(lambda x: ours(x), {"weights": lambda weights, site: 0 * weights})(X)
    np.testing.assert_allclose(silenced, np.broadcast_to(ours.out.bias[...], X.shape), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropout_rate": 0.1}, "dropout_rate=0.1 is active"),
        ({"module": object()}, "sow_weights is not supported"),
        ({"precision": "high"}, "precision=high is not supported"),
    ],
)
def test_what_it_cannot_do_is_refused(options, message):
    x = X.reshape(2, 7, 3, 5)
    with pytest.raises(ValueError, match=message):
        ops.attention_fn(x, x, x, **options)
