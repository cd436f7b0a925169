"""What the Llama line adds: its hook points, and the settings that it refuses."""

import jax
import numpy as np
import pytest
from pretrained_folder import golden_config, write_golden

from attn_jax import pretrained
from attn_jax.hooks import capture
from attn_jax.pretrained import PretrainedError
from attn_jax.pretrained.families import family_of

CONFIG = golden_config("llama")


@pytest.fixture
def model(tmp_path):
    return pretrained.load(write_golden("llama", tmp_path))


def test_hook_points_make_up_the_residual_stream(model):
    inputs = {"tokens": np.arange(2, 9, dtype=np.int32)[None]}
    names = ["embedding", "*residual*", "*.mlp", "*.attention.output", "logits"]
    out, captured = jax.jit(capture(model, names))(inputs)
    np.testing.assert_array_equal(captured["logits"], out)
    stream = captured["embedding"]
    for i in range(2):
        layer = f"layers.{i}."
        np.testing.assert_array_equal(captured[layer + "residual"], stream)
        middle = stream + captured[layer + "attention.output"]
        np.testing.assert_allclose(captured[layer + "residual_mid"], middle, atol=1e-6)
        stream = captured[layer + "residual_out"]
        np.testing.assert_allclose(stream, middle + captured[layer + "mlp"], atol=1e-6)


ROTARY = (
    r"rotary positions of the kind '{}' on {} of each head's features; only 'default' and 'linear'"
)

REFUSED = {
    "scaled, as transformers 4 writes it": (
        {"rope_parameters": None, "rope_scaling": {"type": "dynamic", "factor": 2.0}},
        ROTARY.format("dynamic", 1),
    ),
    "scaled, as transformers 5 writes it": (
        {"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0}},
        ROTARY.format("llama3", 1),
    ),
    "a part of the features": ({"partial_rotary_factor": 0.5}, ROTARY.format("default", 0.5)),
    "no sizes": ({"intermediate_size": None}, "config.json has no 'intermediate_size'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_that_are_refused(case):
    settings, message = REFUSED[case]
    config = CONFIG | settings
    with pytest.raises(PretrainedError, match=message):
        family_of(config).from_config(config)


def test_the_base_of_rotary_positions_in_either_place():
    old = {key: value for key, value in CONFIG.items() if key != "rope_parameters"}
    for config in (
        old | {"rope_theta": 5e5},
        old | {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
    ):
        assert family_of(config).from_config(config).stack[0].rotary_base == 5e5


def test_positions_that_are_divided():
    config = CONFIG | {"rope_parameters": None}
    config |= {"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 4.0}}
    layer = family_of(config).from_config(config).stack[0]
    assert (layer.rotary_base, layer.rotary_factor) == (5e5, 4.0)
