"""What Gemma adds: the settings of its layers, in either form, and those that it refuses."""

import jax
import numpy as np
import pytest
from pretrained_folder import golden_config, write_golden

from attn_jax import pretrained
from attn_jax.hooks import capture
from attn_jax.pretrained import PretrainedError
from attn_jax.pretrained.families import family_of

GEMMA2, GEMMA3 = golden_config("gemma2"), golden_config("gemma3")


def layers(config):
    return [
        (layer.window, layer.rotary_base, layer.rotary_factor)
        for layer in family_of(config).from_config(config).stack
    ]


def test_the_settings_of_the_layers_of_gemma_2():
    published = {
        key: x for key, x in GEMMA2.items() if key not in ("layer_types", "rope_parameters")
    }
    published |= {"num_hidden_layers": 3, "rope_theta": 2e4}
    assert layers(published) == [(3, 2e4, 1), (None, 2e4, 1), (3, 2e4, 1)]


def test_the_settings_of_the_layers_of_gemma_3():
    published = {
        key: x for key, x in GEMMA3.items() if key not in ("layer_types", "rope_parameters")
    }
    published |= {
        "rope_theta": 2e6,
        "rope_local_base_freq": 2e4,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "num_hidden_layers": 4,
        "sliding_window_pattern": 3,
    }
    local = 3, 2e4, 1
    assert layers(published) == [local, local, (None, 2e6, 8), local]
    positions = ("rope_theta", "rope_local_base_freq", "rope_scaling")
    short = {key: x for key, x in published.items() if key not in positions}
    assert layers(short)[1:3] == [(3, 1e4, 1), (None, 1e6, 1)]


def test_hook_points_lie_before_the_second_norms(tmp_path):
    model = pretrained.load(write_golden("gemma2", tmp_path))
    inputs = {"tokens": np.arange(2, 9, dtype=np.int32)[None]}
    out, captured = jax.jit(capture(model, ["embedding", "*residual*", "*.mlp", "logits"]))(inputs)
    np.testing.assert_array_equal(captured["logits"], out)
    assert np.abs(out).max() < 4.0
    table = model.variables["params"]["token_embedding"]["embedding"]
    np.testing.assert_allclose(captured["embedding"][0], 32**0.5 * table[2:9], rtol=1e-6)
    for i in range(2):
        layer = f"layers.{i}."
        hidden = np.asarray(captured[layer + "mlp"])
        scale = np.asarray(model.variables["params"][f"layers_{i}"]["mlp_out_norm"]["scale"])
        added = scale * hidden / np.sqrt((hidden**2).mean(-1, keepdims=True) + 1e-6)
        np.testing.assert_allclose(
            captured[layer + "residual_out"] - captured[layer + "residual_mid"], added, atol=1e-5
        )


REFUSED = {
    "both directions": (
        GEMMA2 | {"use_bidirectional_attention": True},
        "use_bidirectional_attention = True; it must be unset",
    ),
    "a soft cap that transformers leaves out": (
        GEMMA3 | {"attn_logit_softcapping": 50.0},
        "attn_logit_softcapping = 50.0; it must be unset",
    ),
    "rotary positions": (
        GEMMA2 | {"rope_parameters": {"rope_type": "yarn"}},
        "rotary positions of the kind 'yarn'",
    ),
    "an unknown kind of layer": (
        GEMMA3 | {"layer_types": ["full_attention", "chunked_attention"]},
        "layers of the kinds .*chunked_attention",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_that_are_refused(case):
    config, message = REFUSED[case]
    with pytest.raises(PretrainedError, match=message):
        family_of(config).from_config(config)
