"""Images as a checkpoint asks for them, against transformers' image processors."""

from pathlib import Path

import numpy as np
import pytest
from images_cases import PREPROCESSING, picture
from PIL import Image

from attn_jax.pretrained.reading.images import ImageReader


@pytest.mark.parametrize("name", PREPROCESSING)
def test_an_image_is_prepared_the_same(name, tmp_path):
    expected = np.load(Path(__file__).parent / "images.npz")[name]
    reader = ImageReader.from_preprocessing(PREPROCESSING[name], is_square=False)
    pixels = picture()
    path = tmp_path / "picture.png"
    Image.fromarray(pixels).save(path)
    images = reader.encode([pixels, pixels / 255, Image.fromarray(pixels), path, str(path)])
    np.testing.assert_allclose(
        images["images"], np.broadcast_to(expected, (5, *expected.shape)), atol=2e-6
    )
