import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from attn_jax.plot import colours


def lab(rgb):
    """CIELAB under D65, from the definition in CIE 15."""
    rgb = np.asarray(rgb, float)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    ratio = linear @ to_xyz.T / (to_xyz.sum(1))
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def simulated(rgb, matrix):
    """Machado, Oliveira and Fernandes (2009), severity 1, in linear light."""
    rgb = np.asarray(rgb, float)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(matrix).T, 0, 1)
    return np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)


VISION = {
    "full": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("ramp", [colours.ATTENTION, colours.ATTENTION_SCALE])
def test_more_attention_is_always_darker(ramp, vision):
    seen = simulated(ramp(np.linspace(0, 1, 64))[:, :3], VISION[vision])
    assert (np.diff(lab(seen)[:, 0]) < 0).all()


def test_the_lightness_of_attention_falls_evenly():
    lightness = lab(colours.ATTENTION(np.linspace(0, 1, 33))[:, :3])[:, 0]
    even = np.linspace(lightness[0], lightness[-1], 33)
    assert np.abs(lightness - even).max() < 3


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("palette", [colours.SPLITS.values(), (colours.RIGHT, colours.WRONG)])
def test_categories_are_told_apart_by_every_reader(palette, vision):
    seen = lab(simulated([to_rgb(colour) for colour in palette], VISION[vision]))
    for one, other in itertools.combinations(seen, 2):
        assert np.linalg.norm(one - other) > 15


def test_no_weight_has_the_grey_of_masked_cells():
    ramp = lab(colours.ATTENTION(np.linspace(0, 1, 256))[:, :3])
    assert np.linalg.norm(ramp - lab(to_rgb(colours.MASKED)), axis=1).min() > 6
