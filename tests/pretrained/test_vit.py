"""What models of images add: layer scale, sizes of images, and settings that are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pretrained_folder import golden_config, write_golden

from attn_jax import pretrained
from attn_jax.hooks import capture
from attn_jax.pretrained import PretrainedError
from attn_jax.pretrained.families import family_of


def test_hook_points_make_up_the_residual_stream(tmp_path):
    model = pretrained.load(write_golden("dinov2", tmp_path))
    inputs = model.encode([np.random.default_rng(0).uniform(size=(9, 30, 3))])
    assert inputs["images"].shape == (1, 12, 12, 3)
    names = ["embedding", "*residual*", "*.mlp", "*.attention.output", "logits"]
    out, captured = jax.jit(capture(model, names))(inputs)
    assert out.shape == (1, 5)
    np.testing.assert_array_equal(captured["logits"], out)
    stream = captured["embedding"]
    for i in range(2):
        layer = f"layers.{i}."
        np.testing.assert_array_equal(captured[layer + "residual"], stream)
        middle = stream + captured[layer + "attention.output"]
        np.testing.assert_allclose(captured[layer + "residual_mid"], middle, atol=1e-6)
        stream = captured[layer + "residual_out"]
        np.testing.assert_allclose(stream, middle + captured[layer + "mlp"], atol=1e-6)


def test_an_image_without_a_batch(tmp_path):
    model = pretrained.load(write_golden("dinov2_with_registers", tmp_path))
    images = jax.random.normal(jax.random.key(0), (2, 12, 8, 3))
    together = model({"images": images})
    assert together.shape == (2, 1 + 3 + 3 * 2, 24)
    for image, expected in zip(images, together, strict=True):
        np.testing.assert_allclose(model({"images": image}), expected, atol=2e-6)


def test_an_image_smaller_than_a_patch(tmp_path):
    model = pretrained.load(write_golden("vit", tmp_path))
    with pytest.raises(ValueError, match="3 × 9 pixels is smaller than a patch of 4 × 4"):
        model({"images": jnp.zeros((1, 3, 9, 3))})


def test_projections_without_biases_are_refused():
    config = golden_config("vit") | {"qkv_bias": False}
    with pytest.raises(PretrainedError, match="qkv_bias = False; only True is supported"):
        family_of(config).from_config(config)
