"""Lenses and scores on modules of this library, and on Flax's own attention with hook points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from other_models import LAYERS, MODELS, X

from attn_jax.circuits import (
    direct_logit_attribution,
    head_loadings,
    head_scores,
    logit_lens,
    qk_attribution,
    tuned_lens,
)
from attn_jax.hooks import HookError, capture, hook_points


@pytest.fixture(scope="module", params=MODELS)
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


def test_a_tuned_lens_begins_as_the_logit_lens(pair):
    """Its first losses are those of the lens beside the logits, in NumPy."""
    fn, _ = pair
    logits = np.asarray(logit_lens(fn, X).values, np.float64)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = (np.exp(logs[-1:]) * (logs[-1:] - logs)).sum(-1).mean((1, 2))
    np.testing.assert_allclose(tuned_lens(fn, [X]).losses[0], expected, atol=1e-5)


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


def test_the_score_of_a_query_needs_queries(pair):
    """Those of the first layer read the embedding alone; `tap_attention` knows no queries."""
    fn, params = pair
    options = {"query": -1, "key": 2, "residual": "embedding", "features": X[None]}
    if any(point.name.endswith(".query") for point in hook_points(fn)(X)):
        found = qk_attribution(fn, X, "layers.0", **options)
        layer = jax.tree.map(np.asarray, params["layers_0"])
        query, key = (
            np.einsum("bf,fhd->bhd", X[:, place], layer[name]["kernel"]) + layer[name]["bias"]
            for place, name in ((-1, "query"), (2, "key"))
        )
        expected = np.einsum("bhd,bhd->bh", query, key).mean(0) / np.sqrt(query.shape[-1])
        np.testing.assert_allclose(found.scores, expected, atol=1e-5)
        np.testing.assert_allclose(found.shares.values.sum((1, 2)), expected, atol=1e-5)
    else:
        with pytest.raises(HookError, match=r"needs .*layers\.0\.query"):
            qk_attribution(fn, X, "layers.0", **options)
