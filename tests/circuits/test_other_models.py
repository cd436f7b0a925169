"""Lenses and scores on modules of this library, and on Flax's own attention with hook points."""

import functools

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_jax import nn
from attn_jax.circuits import direct_logit_attribution, head_loadings, head_scores, logit_lens
from attn_jax.hooks import HookError, capture, hook_points, tap, tap_attention
from attn_jax.interop import named

HEADS, FEATURES, VOCABULARY, LAYERS = 3, 12, 7, 2
X = jax.random.normal(jax.random.key(0), (2, 5, FEATURES))
MASK = jnp.tri(5, dtype=bool)[None, None]


class Linen(flax.linen.Module):
    """Two attentions of Flax or of this library, and a projection to logits."""

    attention: type

    @flax.linen.compact
    def __call__(self, x):
        x = tap("embedding", x)
        for i in range(LAYERS):
            attend = self.attention(num_heads=HEADS, name=f"layers_{i}")
            x = tap(f"layers.{i}.residual_out", x + attend(x, mask=MASK))
        return flax.linen.Dense(VOCABULARY, name="head")(x)


class NNX(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.layers = nnx.List(
            [
                nnx.MultiHeadAttention(HEADS, FEATURES, decode=False, rngs=rngs)
                for _ in range(LAYERS)
            ]
        )
        self.head = nnx.Linear(FEATURES, VOCABULARY, rngs=rngs)

    def __call__(self, x):
        x = tap("embedding", x)
        for i, attend in enumerate(self.layers):
            x = tap(f"layers.{i}.residual_out", x + attend(x, mask=MASK))
        return self.head(x)


def linen(attention):
    model = Linen(attention)
    variables = model.init(jax.random.key(0), X)
    return functools.partial(model.apply, variables), variables["params"]


def ours():
    return linen(nn.MultiHeadAttention)


def tapped_linen():
    fn, params = linen(flax.linen.MultiHeadDotProductAttention)
    return tap_attention(fn), params


def tapped_nnx():
    model = NNX()
    layers = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    params = {f"layers_{i}": layer for i, layer in layers["layers"].items()}
    return tap_attention(named(model, model)), params | {"head": layers["head"]}


@pytest.fixture(scope="module", params=[ours, tapped_linen, tapped_nnx])
def pair(request):
    return request.param()


def test_shares_of_heads(pair):
    """Against contexts times the output projection and the head, in NumPy."""
    fn, params = pair
    _, captured = capture(fn, ["*.context"])(X)
    shares = direct_logit_attribution(fn, X, lambda logits: logits[:, -1, 4].sum())
    assert len(captured) == LAYERS
    for i, (name, context) in enumerate(captured.items()):
        kernel = np.asarray(params[f"layers_{i}"]["out"]["kernel"])
        written = np.einsum("bhd,hdf->bhf", np.asarray(context)[:, -1], kernel)
        expected = (written @ np.asarray(params["head"]["kernel"])[:, 4]).sum(0)
        np.testing.assert_allclose(shares.heads.values[i], expected, atol=1e-4)
        assert shares.heads.names[i] == name
    np.testing.assert_allclose(shares.remainder, 0, atol=1e-4)


def test_the_logit_lens(pair):
    fn, params = pair
    _, captured = capture(fn, "*.residual_out")(X)
    lens = logit_lens(fn, X)
    kernel, bias = (np.asarray(params["head"][name]) for name in ("kernel", "bias"))
    for i, stream in enumerate(captured.values()):
        expected = np.asarray(stream) @ kernel + bias
        np.testing.assert_allclose(lens.values[i], expected, atol=1e-5)


def test_scores_of_heads(pair):
    fn, _ = pair
    _, captured = capture(fn, "*.weights")(X)
    # The model reads vectors; the tokens say which of them are the same.
    tokens = jnp.array([[0, 1, 2, 0, 1], [3, 4, 3, 4, 3]])
    scores = head_scores(lambda _: fn(X), tokens)
    for i, weights in enumerate(captured.values()):
        diagonal = np.diagonal(weights, -1, -2, -1).mean((0, 2))
        np.testing.assert_allclose(scores["previous_token"].values[i], diagonal, atol=1e-6)


def test_loadings_need_values(pair):
    """`tap_attention` does not know which array holds the values of the heads."""
    fn, _ = pair
    features = jnp.stack([X, -X])
    if any(point.name.endswith(".value") for point in hook_points(fn)(X)):
        loadings = head_loadings(fn, X, features, jnp.sum).values
        np.testing.assert_allclose(loadings[0], -loadings[1], atol=1e-5)
    else:
        with pytest.raises(HookError, match=r"needs the hook point '.*\.value' beside"):
            head_loadings(fn, X, features, jnp.sum)
