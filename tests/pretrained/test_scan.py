"""Models whose layers are one scan, against the same models unrolled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from pretrained_folder import write_golden

from attn_jax import pretrained
from attn_jax.hooks import capture, hook_points, intervene
from attn_jax.pretrained import PretrainedError
from attn_jax.pretrained.families.layers import scanned_form

INPUTS = {"tokens": jnp.array([[5, 7, 11, 2], [9, 8, 3, 40]])}
FAMILIES = ["bert", "gpt2", "llama"]


def load(family, folder):
    path = write_golden(family, folder)
    return pretrained.load(path), pretrained.load(path, scan=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_set_of_names_and_parameters(family, tmp_path):
    unrolled, scanned = load(family, tmp_path)
    names = {point.name for point in hook_points(unrolled)(INPUTS)}
    stacked = {point.name for point in hook_points(scanned)(INPUTS)}
    assert {
        name.replace("layers.1.", "layers.*.") for name in names if ".0." not in name
    } == stacked
    params = unrolled.variables["params"]
    layers = [params.pop(f"layers_{i}") for i in range(2)]
    layers = (
        scanned.variables["params"].pop("layers"),
        jax.tree.map(lambda *x: jnp.stack(x), *layers),
    )
    jax.tree.map(np.testing.assert_array_equal, *layers)
    jax.tree.map(np.testing.assert_array_equal, scanned.variables["params"], params)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_edit_of_one_layer(family, tmp_path):
    def edit(weights, site):
        return weights.at[:, 1].set(0.0)

    pattern = "layers.1.attention.weights"
    outs = [
        jax.jit(capture(intervene(model, {pattern: edit}), "layers.*.residual_out"))(INPUTS)
        for model in load(family, tmp_path)
    ]
    (expected, layers), (out, stacked) = outs
    np.testing.assert_allclose(out, expected, rtol=0, atol=2e-6 * np.abs(expected).max())
    for i in range(2):
        state = layers[f"layers.{i}.residual_out"]
        np.testing.assert_allclose(stacked["layers.*.residual_out"][i], state, rtol=0, atol=2e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_it_writes_the_same(family, tmp_path):
    (expected, unrolled), (written, scanned) = (
        model.generate(INPUTS, 5, stop=(), capture="*.weights") for model in load(family, tmp_path)
    )
    np.testing.assert_array_equal(written.tokens, expected.tokens)
    stacked = scanned["steps.*.layers.*.attention.weights"]
    for i in range(2):
        weights = unrolled[f"steps.*.layers.{i}.attention.weights"]
        np.testing.assert_allclose(stacked[:, i], weights, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("family", "differing"), [("qwen2", "window"), ("gemma3", "rotary_base, rotary_factor, window")]
)
def test_layers_that_differ(family, differing, tmp_path):
    folder = write_golden(family, tmp_path)
    message = f"layers differ in {differing}, so they cannot be scanned; load it without scan=True"
    with pytest.raises(PretrainedError, match=message):
        pretrained.load(folder, scan=True)


def test_a_module_that_is_not_scanned():
    with pytest.raises(PretrainedError, match="Dense cannot be scanned; load it without"):
        scanned_form(nn.Dense(3))
