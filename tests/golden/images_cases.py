"""A synthetic image, and what checkpoints ask for before their models see it."""

import numpy as np

PREPROCESSING = {
    "vit": {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 18, "width": 18},
        "resample": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    },
    "deit": {
        "image_processor_type": "DeiTImageProcessor",
        "size": {"height": 20, "width": 20},
        "do_center_crop": True,
        "crop_size": {"height": 17, "width": 16},
        "resample": 3,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    },
    "dinov2": {
        "image_processor_type": "BitImageProcessor",
        "size": {"shortest_edge": 22},
        "do_center_crop": True,
        "crop_size": {"height": 18, "width": 18},
        "resample": 3,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    },
    "clip": {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 12},
        "do_center_crop": False,
        "do_normalize": False,
        "resample": 1,
        "rescale_factor": 0.00784313725490196,
    },
}


def picture(height=31, width=53):
    """Return a disc on a slope of colors with noise, `(height, width, 3)` bytes."""
    y, x = np.mgrid[:height, :width]
    red = 255 * x / width
    green = np.where((x - 20) ** 2 + (y - 14) ** 2 < 90, 230, 40)
    blue = np.random.default_rng(0).uniform(0, 255, (height, width))
    return np.stack([red, green, blue], -1).astype(np.uint8)
