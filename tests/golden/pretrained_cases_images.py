"""Tiny random checkpoints of models of images."""

import numpy as np

_VIT = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "image_size": 12,
    "patch_size": 4,
    "num_labels": 5,
}
_DINO = {key: x for key, x in _VIT.items() if key != "intermediate_size"} | {"mlp_ratio": 2}


def images(height, width):
    """Return a function that makes two images of a size."""

    def inputs(rng, config):
        return {"images": rng.normal(size=(2, height, width, 3)).astype(np.float32)}

    return inputs


CASES = {
    "vit": ("ViTForImageClassification", _VIT, images(12, 12)),
    # Images of other sizes than those of the training, and with a remainder of pixels.
    "deit": ("DeiTForImageClassificationWithTeacher", _VIT, images(16, 8)),
    "dinov2": ("Dinov2ForImageClassification", _DINO | {"image_size": 20}, images(18, 13)),
    "dinov2_with_registers": (
        "Dinov2WithRegistersModel",
        _DINO | {"num_register_tokens": 3, "image_size": 20, "use_swiglu_ffn": True},
        images(12, 16),
    ),
}
"""The class of transformers, the configuration and the arguments of each family."""
