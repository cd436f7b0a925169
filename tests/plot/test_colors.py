"""The palettes, judged by coloraide: CAM02-UCS, CIEDE2000, and three kinds of color blindness."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from coloraide.everything import ColorAll as Color
from matplotlib.colors import to_hex

import attn_jax.plot
from attn_jax.plot import colors

# Brettel, Viénot and Mollon (1997) is the simulation that suits tritanopia too; Machado, Oliveira
# and Fernandes (2009) is the one most papers use.
VISION = [(None, None), *itertools.product(("protan", "deutan", "tritan"), ("brettel", "machado"))]
RAMPS = [colors.ATTENTION, colors.ATTENTION_SCALE]
SHARES = np.linspace(0, 1, 65)


def seen(color, vision=(None, None)):
    """The color as a reader with this vision sees it."""
    color = Color(to_hex(color))
    kind, method = vision
    return color.filter(kind, method=method).clip("srgb") if kind else color


def lightness(ramp, vision=(None, None)):
    """CAM02-UCS J' along a ramp."""
    return np.array([seen(ramp(share), vision).convert("cam02-ucs")["j"] for share in SHARES])


def least_distances(palette, vision):
    """The least distance between two colors, in CAM02-UCS and by CIEDE2000."""
    pairs = list(itertools.combinations([seen(color, vision) for color in palette], 2))
    return [min(one.delta_e(other, method=m) for one, other in pairs) for m in ("cam02", "2000")]


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("ramp", RAMPS, ids=lambda ramp: ramp.name)
def test_more_attention_is_always_darker(ramp, vision):
    assert (np.diff(lightness(ramp, vision)) < 0).all()


def test_the_lightness_of_attention_falls_evenly():
    found = lightness(colors.ATTENTION)
    assert np.abs(found - np.linspace(found[0], found[-1], len(found))).max() < 4
    assert found[0] - found[-1] > 80


@pytest.mark.parametrize("vision", VISION)
def test_larger_scores_are_darker_on_either_side_of_zero(vision):
    steps = np.diff(lightness(colors.SIGNED, vision))
    assert (steps[:32] > 0).all()
    assert (steps[32:] < 0).all()


@pytest.mark.parametrize("vision", VISION)
def test_the_sign_of_a_score_is_told_apart_by_every_reader(vision):
    for size in (0.5, 0.75, 1):
        ends = [colors.SIGNED((1 + sign * size) / 2) for sign in (-1, 1)]
        assert min(least_distances(ends, vision)) > 10


@pytest.mark.parametrize("vision", VISION)
def test_on_dark_paper_more_attention_is_always_lighter(vision):
    found = lightness(colors.ATTENTION_DARK, vision)
    assert (np.diff(found) > 0).all()
    assert found[-1] - found[0] > 80
    assert to_hex(colors.ATTENTION_DARK(0.0)) == colors.DARK[colors.PAPER]


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(
    "palette",
    [colors.SPLITS.values(), (colors.RIGHT, colors.WRONG), colors.SERIES],
    ids=["splits", "right and wrong", "series"],
)
def test_categories_are_told_apart_by_every_reader(palette, vision):
    uniform, ciede = least_distances(palette, vision)
    assert uniform > 10
    assert ciede > 10


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("ground", [colors.PAPER, colors.MASKED])
def test_lines_stand_out_from_what_they_are_drawn_on(ground, vision):
    for line in (colors.INK, colors.TRUTH, *colors.SERIES):
        assert min(least_distances((line, ground), vision)) > 20


@pytest.mark.parametrize("vision", VISION)
def test_no_weight_has_the_gray_of_masked_cells(vision):
    for share in SHARES:
        uniform, _ = least_distances((colors.ATTENTION(share), colors.MASKED), vision)
        assert uniform > 6


def test_no_picture_has_a_color_of_its_own():
    for path in Path(attn_jax.plot.__file__).parent.glob("*.py"):
        if path.name != "colors.py":
            assert not re.findall(
                r"#[0-9a-fA-F]{6}\b|\"(?:red|blue|green|black)\"", path.read_text()
            )
