"""Shares of pairs of features in a score, and loadings of heads: sum rules and known circuits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models import (
    FIRST,
    INDUCTION,
    PREVIOUS,
    SUCCESSOR,
    VOCABULARY,
    induction_weights,
    model,
    random_weights,
)

from attn_jax.circuits import direct_logit_attribution, head_loadings, qk_attribution
from attn_jax.hooks import HookError, capture, tap

TOKENS = jnp.array([[FIRST, 3, 7, 1, 3], [FIRST, 2, 2, 5, 8]])
WEIGHTS = random_weights(mlp_dim=6)


@pytest.fixture(scope="module")
def fn():
    return model(WEIGHTS, normalizes=True)


def test_the_shares_of_an_induction_circuit():
    """The key matches by what the previous-token head wrote, the query by its embedding."""
    attribution = qk_attribution(
        model(induction_weights()), TOKENS[:1], "layers.1.attention", query=-1, key=2
    )
    shares = np.asarray(attribution.shares)[INDUCTION]
    query = attribution.features.index("embedding")
    key = attribution.features.index(f"layers.0.attention.head_output[{PREVIOUS}]")
    np.testing.assert_allclose(shares[query, key], 60, rtol=1e-4)
    shares[query, key] = 0
    np.testing.assert_allclose(shares, 0, atol=1e-4)
    np.testing.assert_allclose(attribution.remainder, 0, atol=1e-4)


@pytest.mark.parametrize(("query", "key"), [(4, 1), (-2, 0)])
def test_the_shares_add_up_to_the_score(fn, query, key):
    name = "layers.1.attention"
    attribution = qk_attribution(fn, TOKENS, name, query=query, key=key)
    _, values = capture(fn, f"{name}.scores")(TOKENS)
    expected = values[f"{name}.scores"][:, :, query, key].mean(0)
    assert attribution.shares.axes == ("head", "query_feature", "key_feature")
    np.testing.assert_allclose(attribution.shares.values.sum((1, 2)), expected, atol=1e-4)
    np.testing.assert_allclose(attribution.scores, expected, rtol=1e-5)
    np.testing.assert_allclose(attribution.remainder, 0, atol=1e-4)
    assert attribution.features == (
        "embedding",
        *(f"layers.0.attention.head_output[{i}]" for i in range(3)),
        "layers.0.mlp",
        "rest",
    )
    # Nothing else was written into the residual stream.
    np.testing.assert_allclose(attribution.shares.values[:, -1], 0, atol=1e-4)


def test_the_shares_by_hand(fn):
    names = ["embedding", "layers.0.attention.head_output", "layers.0.mlp"]
    _, values = capture(fn, [*names, "layers.1.norm.denominator"])(TOKENS)
    embedding, heads, mlp = (np.asarray(values[name]) for name in names)
    features = [embedding, *np.moveaxis(heads, 2, 0), mlp]
    size = np.asarray(values["layers.1.norm.denominator"])
    shares = qk_attribution(fn, TOKENS, "layers.1.attention", query=4, key=1).shares.values
    for h, i, j in np.ndindex(3, 5, 5):
        query = (features[i] / size)[:, 4] @ WEIGHTS.query[1, h]
        key = (features[j] / size)[:, 1] @ WEIGHTS.key[1, h]
        expected = (query * key).sum(-1).mean() / np.sqrt(5)
        np.testing.assert_allclose(shares[h, i, j], expected, atol=1e-4)


def test_features_of_a_dictionary(fn):
    """Two halves of the stream, and a part that is left to the rest."""
    name = "layers.1.residual"
    stream = capture(fn, name)(TOKENS)[1][name]
    features = jnp.stack([0.5 * stream, 0.25 * stream])
    attribution = qk_attribution(
        fn, TOKENS, "layers.1.attention", query=4, key=1, features=features
    )
    assert attribution.features == ("0", "1", "rest")
    parts = np.array([0.5, 0.25, 0.25])
    expected = parts[:, None] * parts[None] * np.asarray(attribution.scores)[:, None, None]
    np.testing.assert_allclose(attribution.shares.values, expected, atol=1e-4)


def test_the_first_layer_reads_the_embedding_alone(fn):
    attribution = qk_attribution(fn, TOKENS, "layers.0.attention", query=3, key=1)
    assert attribution.features == ("embedding", "rest")
    np.testing.assert_allclose(attribution.shares.values[:, 0, 0], attribution.scores, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"query": 5}, ValueError, "query=5 is out of range; there are 5 positions"),
        ({"key": -6}, ValueError, "key=-6 is out of range"),
        ({"features": jnp.ones((2, 5, 10))}, ValueError, r"\[2, 5, 10\].*\[2, 5, 10\]"),
        ({"residual": "layers.1.stream"}, HookError, "qk_attribution needs .*layers.1.stream"),
    ],
    ids=["query", "key", "features", "residual"],
)
def test_bad_input(fn, options, error, message):
    options = {"query": 1, "key": 0, **options}
    with pytest.raises(error, match=message):
        qk_attribution(fn, TOKENS, "layers.1.attention", **options)


def test_a_model_without_head_outputs():
    def bare(x):
        x = tap("layers.1.residual", x)
        query, key = (tap(f"layers.1.attention.{name}", x[:, :, None]) for name in ("query", "key"))
        return tap("layers.1.attention.scores", jnp.einsum("bqhd,bkhd->bhqk", query, key))

    with pytest.raises(HookError, match=r"\*\.head_output, what each head writes.* features="):
        qk_attribution(bare, jnp.ones((1, 3, 2)), "layers.1.attention", query=1, key=0)


def test_loadings_of_an_induction_circuit():
    """The token B at position 2 acts through induction, and A at the end through the others."""
    fn, tokens = model(induction_weights()), TOKENS[:1]
    block = np.zeros((2, *tokens.shape, 3 * VOCABULARY + 17), np.float32)
    block[0, 0, 2, 7], block[1, 0, 4, 3] = 1, 1
    loadings = head_loadings(fn, tokens, jnp.asarray(block), lambda x: x[0, -1, 7] + x[0, -1, 4])
    assert loadings.axes == ("feature", "layer", "head")
    expected = np.zeros((2, 2, 4))
    expected[0, 1, INDUCTION], expected[0, 1, 3] = 2, -1 / 5
    expected[1, 1, SUCCESSOR] = 1
    np.testing.assert_allclose(loadings.values, expected, atol=1e-5)


@pytest.mark.parametrize("source", ["embedding", "layers.1.residual"])
def test_loadings_add_up_to_direct_shares(fn, source):
    """The whole stream in parts: all that a head reads, for there are no biases."""

    def metric(x):
        return x[:, -1, 2].sum()

    stream = capture(fn, source)(TOKENS)[1][source]
    features = jnp.stack([0.25 * stream, 0.75 * stream])
    loadings = head_loadings(fn, TOKENS, features, metric, source=source)
    shares = direct_logit_attribution(fn, TOKENS, metric).heads.values
    layer = 0 if source == "embedding" else 1
    np.testing.assert_allclose(loadings.values[:, layer].sum(0), shares[layer], atol=1e-4)
    np.testing.assert_allclose(3 * loadings.values[0], loadings.values[1], atol=1e-4)
    if layer:
        np.testing.assert_allclose(loadings.values[:, 0], 0)


def test_loadings_under_jit(fn):
    features = jax.random.normal(jax.random.key(0), (3, 2, 5, 10))

    def call(x):
        return head_loadings(fn, TOKENS, x, jnp.sum)

    np.testing.assert_allclose(jax.jit(call)(features).values, call(features).values, atol=1e-3)


def test_loadings_of_features_that_do_not_fit(fn):
    with pytest.raises(ValueError, match=r"\[3, 5, 10\], and the residual stream \[2, 5, 10\]"):
        head_loadings(fn, TOKENS, jnp.ones((3, 5, 10)), jnp.sum)
    with pytest.raises(HookError, match=r"head_loadings needs .*layers\.7\.residual"):
        head_loadings(fn, TOKENS, jnp.ones((3, 2, 5, 10)), jnp.sum, source="layers.7.residual")
