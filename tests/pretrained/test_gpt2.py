"""What GPT-2 adds: fused projections, buffers of old releases, and settings that it refuses."""

import numpy as np
import pytest
from pretrained_check import check
from pretrained_folder import golden_arrays, golden_config, write_folder

from attn_jax import pretrained
from attn_jax.pretrained import PretrainedError
from attn_jax.pretrained.families import family_of

CONFIG, TENSORS = golden_config("gpt2"), golden_arrays("gpt2", "tensor")
FUSED = "transformer.h.1.attn.c_attn.weight"


def test_the_names_of_the_first_release(tmp_path):
    old = {
        key.removeprefix("transformer."): x for key, x in TENSORS.items() if "lm_head" not in key
    }
    old["h.0.attn.bias"] = np.tri(40, dtype=np.float32)[None, None]
    config = {key: value for key, value in CONFIG.items() if key != "tie_word_embeddings"}
    model = pretrained.load(write_folder(tmp_path / "gpt2", config, old))
    check(model, golden_arrays("gpt2", "input"), golden_arrays("gpt2", "expected"))


@pytest.mark.parametrize(("width", "message"), [(97, r"\[32, 97\]"), (93, r"\[32, 31\]")])
def test_a_fused_tensor_of_another_size(width, message, tmp_path):
    tensors = TENSORS | {FUSED: np.ones((32, width), np.float32)}
    folder = write_folder(tmp_path / "gpt2", CONFIG, tensors)
    with pytest.raises(PretrainedError, match=rf"{message}, and config.json asks for \[32, 32\]"):
        pretrained.load(folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scale_attn_weights", False),
        ("scale_attn_by_inverse_layer_idx", True),
        ("add_cross_attention", True),
    ],
)
def test_settings_that_are_refused(name, value):
    config = CONFIG | {name: value}
    with pytest.raises(PretrainedError, match=f"{name} = {value}; only {not value} is supported"):
        family_of(config).from_config(config)
