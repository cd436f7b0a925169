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

_TOWER = {
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
}
_TEXT = {"vocab_size": 50, "max_position_embeddings": 12, "eos_token_id": 49}
_CLIP = {
    "projection_dim": 10,
    "text_config": _TOWER | _TEXT,
    "vision_config": _TOWER | {"image_size": 12, "patch_size": 4},
}


def images(height, width):
    """Return a function that makes two images of a size."""

    def inputs(rng, config):
        return {"images": rng.normal(size=(2, height, width, 3)).astype(np.float32)}

    return inputs


def images_and_texts(rng, config):
    """Return two images, and three texts that end at token 49, of which one is shorter."""
    tokens = rng.integers(2, 49, (3, 6)).astype(np.int32)
    tokens[:, -1] = 49
    tokens[1, 3:] = 49, 1, 1
    return images(16, 8)(rng, config) | {"tokens": tokens, "key_mask": tokens != 1}


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
    "clip": ("CLIPModel", _CLIP, images_and_texts),
}
"""The class of transformers, the configuration and the arguments of each family."""
