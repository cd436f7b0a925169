"""Image classifiers: patches are a convolution, tokens know their place, types are kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import models, nn
from attn_jax.models.image import image_patches


@pytest.mark.parametrize(("size", "stride"), [(5, 2), (3, 1), (2, 2), (3, 3), (4, 3)])
def test_patches_and_a_dense_layer_are_a_convolution(size, stride):
    image = jax.random.normal(jax.random.key(0), (2, 11, 13, 3))
    kernel = jax.random.normal(jax.random.key(1), (size, size, 3, 5))
    convolved = jax.lax.conv_general_dilated(
        image, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    patches = image_patches(image, size, stride)
    np.testing.assert_allclose(patches @ kernel.reshape(-1, 5), convolved, atol=2e-4)


@pytest.mark.parametrize(
    ("model", "side", "channels"),
    [
        (models.ImageClassifier, 28, 1),
        (models.Detector, 64, 1),
        (models.CoAttentionNetwork, 64, 3),
    ],
)
def test_a_token_sees_the_pixels_around_its_own_place(model, side, channels):
    """So maps drawn on the image are in place."""
    stem = model().stem.clone(parent=None)
    image = jnp.ones((side, side, channels))
    variables = jax.tree.map(jnp.abs, stem.init(jax.random.key(0), image))
    cells = len(stem.apply(variables, image))
    at = cells // 2
    seen = jax.grad(lambda image: stem.apply(variables, image)[at, at].sum())(image)
    rows = np.flatnonzero(np.any(seen, (1, 2)))
    assert (rows[0] + rows[-1]) / 2 == (at + 0.5) * side / cells - 0.5


STEMS = {
    "patches": (models.PatchStem(features=(5, 7), sizes=(3, 3), strides=(2, 2)), (3, 4)),
    "convolutions": (models.ConvStem(features=(5, 7), pool=(True, False)), (5, 7)),
    "rows": (models.RowStem(features=7), (11, 1)),
}


@pytest.fixture(scope="module", params=STEMS)
def classifier(request, draw_variables):
    stem, grid = STEMS[request.param]
    model = models.ImageClassifier(stem=stem, num_classes=3)
    image = jax.random.uniform(jax.random.key(0), (2, 11, 14))
    return model, draw_variables(model, image), image, grid


def test_it_says_which_grid_it_looks_at(classifier):
    model, variables, image, grid = classifier
    assert model.grid((11, 14)) == grid
    logits, weights = nn.apply_with_weights(model, variables, image)
    assert logits.shape == (2, 3)
    assert weights["pooling.attention.weights"].shape == (2, 1, grid[0] * grid[1])


def test_residual_layers_add_their_input_where_it_has_their_shape(draw_variables):
    stem = models.PatchStem(features=(5, 5, 7), sizes=(3, 3, 1), strides=(2, 1, 1), residual=True)
    image = jax.random.uniform(jax.random.key(0), (2, 11, 14, 1))
    variables = draw_variables(stem, image)
    expected = np.asarray(image, np.float64)
    for at, (size, stride) in enumerate(((3, 2), (3, 1), (1, 1))):
        dense, norm = (variables["params"][f"{kind}_{at}"] for kind in ("Dense", "LayerNorm"))
        made = np.asarray(image_patches(jnp.asarray(expected), size, stride), np.float64)
        made = made @ np.float64(dense["kernel"]) + np.float64(dense["bias"])[None, None, None]
        mean, variance = made.mean(-1, keepdims=True), made.var(-1, keepdims=True)
        made = (made - mean) / np.sqrt(variance + 1e-6)
        made = made * np.float64(norm["scale"]) + np.float64(norm["bias"])
        expected = np.maximum(made, 0) + (expected if at == 1 else 0)
    np.testing.assert_allclose(stem.apply(variables, image), expected, atol=1e-5)


def test_a_hidden_layer_stands_between_the_pooled_features_and_the_last(draw_variables):
    model = models.ImageClassifier(stem=models.RowStem(5), num_classes=3, hidden_dim=7)
    image = jax.random.uniform(jax.random.key(0), (2, 11, 14))
    variables = draw_variables(model, image)
    logits, weights = nn.apply_with_weights(model, variables, image)
    params = jax.tree.map(np.float64, variables["params"])
    tokens = model.stem.clone(parent=None).apply({"params": params["stem"]}, image[..., None])
    tokens = np.float64(tokens[:, :, 0]) + params["position"][None, :, 0]
    tokens -= tokens.mean(-1, keepdims=True)
    tokens /= np.sqrt((tokens**2).mean(-1, keepdims=True) + 1e-6)
    tokens = tokens * params["LayerNorm_0"]["scale"] + params["LayerNorm_0"]["bias"]
    pooled = (np.asarray(weights["pooling.attention.weights"]) @ tokens)[:, 0]
    hidden = np.maximum(pooled @ params["hidden"]["kernel"] + params["hidden"]["bias"][None], 0)
    expected = hidden @ params["head"]["kernel"] + params["head"]["bias"][None]
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_bfloat16_keeps_parameters_and_logits_in_float32(classifier):
    model, variables, image, _ = classifier
    low = model.clone(dtype="bfloat16")
    fresh = jax.eval_shape(low.init, jax.random.key(1), image)
    assert {x.dtype for x in jax.tree.leaves(fresh)} == {jnp.dtype("float32")}
    logits = low.apply(variables, image)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, model.apply(variables, image), atol=0.1)
    text = str(jax.make_jaxpr(low.apply)(variables, image))
    assert "bf16" in text


def test_the_order_of_rows_matters_only_with_positions():
    image = jax.random.uniform(jax.random.key(0), (2, 11, 14))
    flipped = image[:, ::-1]
    for positions in (True, False):
        stem = models.RowStem(features=7, positions=positions)
        variables = stem.init(jax.random.key(1), image[..., None])
        # A bias is zero at first; a learned one stands in for it.
        rng = jax.random.key(2)
        variables = jax.tree.map(lambda x, r=rng: x + jax.random.normal(r, x.shape), variables)
        one = stem.apply(variables, image[..., None])
        other = stem.apply(variables, flipped[..., None])[:, ::-1]
        assert bool(jnp.allclose(one, other)) == (not positions)


def test_the_number_of_classes_must_be_filled_in():
    with pytest.raises(ValueError, match=r"model\.clone\(\*\*task\.sizes\)"):
        models.ImageClassifier().init(jax.random.key(0), jnp.ones((1, 28, 28)))
