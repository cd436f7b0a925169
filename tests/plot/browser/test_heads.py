"""All heads at once, tinted by a score of each."""

import re

import numpy as np

from attn_jax import plot

SCORES = {"layers.0": [0.5, -1.0], "layers.1": [0.0, 2.0]}
EFFECTS = np.array(list(SCORES.values()))
STATE = {"view": "overview", "sort": "measure:effect"}


def viewer():
    weights = np.full((1, 2, 3, 3), 1 / 3)
    return plot.viewer(dict.fromkeys(SCORES, weights), measures={"effect": EFFECTS})


def tints(page):
    """Red, green, blue and opacity behind the number of each head, by the number."""
    notes = page.locator(".head .note")
    colors = notes.evaluate_all("all => all.map((note) => getComputedStyle(note).backgroundColor)")
    numbers = [float(text) for text in notes.all_inner_texts()]
    return {
        number: [float(x) for x in re.findall(r"[\d.]+(?:e-\d+)?", color)]
        for number, color in zip(numbers, colors, strict=True)
    }


def test_the_largest_score_comes_first_with_the_strongest_tint(open_page):
    page = open_page(viewer(), **STATE)
    found = tints(page)
    assert list(found) == [2, 0.5, 0, -1]
    opacities = [color[3] if len(color) > 3 else 1 for color in found.values()]
    np.testing.assert_allclose(np.array(opacities) / opacities[0], [1, 0.25, 0, 0.5], atol=0.01)


def test_the_tint_tells_the_sign(open_page):
    found = tints(open_page(viewer(), **STATE))
    for number in (2, 0.5):
        assert found[number][2] > found[number][0]  # blue over red
    assert found[-1][0] > found[-1][2]


def test_entropy_has_no_tint(open_page):
    page = open_page(viewer(), view="overview", sort="entropy")
    notes = page.locator(".head .note")
    colors = notes.evaluate_all("all => all.map((note) => getComputedStyle(note).backgroundColor)")
    assert all(re.search(r"(,|/) ?0\)$", color) for color in colors), colors


def test_the_saved_picture_has_the_same_tints(open_page, tmp_path):
    page = open_page(viewer(), **STATE)
    with page.expect_download() as download:
        page.get_by_role("button", name="SVG").click()
    download.value.save_as(tmp_path / "heads.svg")
    picture = (tmp_path / "heads.svg").read_text("utf-8")
    opacities = [float(x) for x in re.findall(r'<rect[^>]* opacity="([\d.]+)"', picture)]
    assert len(opacities) == 4
    np.testing.assert_allclose(np.array(opacities) / opacities[0], [1, 0.25, 0, 0.5], atol=1e-6)
