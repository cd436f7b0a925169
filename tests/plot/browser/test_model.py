"""All heads of all layers in a grid, tinted by a score of each."""

import re

import numpy as np
import pytest

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


def test_entropy_is_sorted_lowest_first_and_tinted_like_any_score(open_page):
    weights = np.stack([np.full((3, 3), 1 / 3), np.eye(3), np.tile([0.5, 0.5, 0], (3, 1))])
    page = open_page(plot.viewer(weights, axes="hqk"), view="overview", sort="entropy")
    found = tints(page)
    assert list(found) == [0, 0.693, 1.1]
    opacities = [color[3] for color in found.values()]
    np.testing.assert_allclose(np.array(opacities) / opacities[2], [0, 0.63, 1], atol=0.02)


def test_the_grid_has_a_row_a_layer_and_a_column_a_head(open_page):
    page = open_page(viewer(), view="overview")
    assert page.locator(".grid .axis").all_inner_texts() == ["layer · head", "0", "1", "0", "1"]
    boxes = [cell.bounding_box() for cell in page.locator(".grid .head").all()]
    assert boxes[0]["y"] == boxes[1]["y"] < boxes[2]["y"] == boxes[3]["y"]
    assert boxes[0]["x"] == boxes[2]["x"] < boxes[1]["x"] == boxes[3]["x"]
    page.get_by_role("button", name="all heads of layers.1 as lines").click()
    assert "view=heads&layer=1" in page.url


def test_scores_are_offered_without_being_given(open_page):
    tokens = ["a", "b", "c", "a", "b", "c"]
    previous, first, induction = np.eye(6, k=-1), np.zeros((6, 6)), np.eye(6)
    previous[0, 0] = first[:, 0] = 1
    induction[3:] = np.eye(6)[[1, 2, 3]]
    view = plot.viewer(np.stack([previous, first, induction]), axes="hqk", tokens=tokens)
    page = open_page(view, view="overview")
    for score, best in (("previous token", 0), ("first token", 1), ("induction", 2)):
        page.get_by_role("combobox", name="Score", exact=True).select_option(score)
        page.get_by_role("combobox", name="Order", exact=True).select_option("score")
        cell = page.locator(".grid .head").first
        assert cell.get_attribute("title") == f"open layer 0, head {best}"
        assert float(cell.locator(".note").inner_text()) == 1


def test_layers_of_unequal_heads_keep_their_places(open_page, page):
    heads = {"layers.0": 2, "layers.1": 4, "layers.2": 1}
    weights = {name: np.full((1, count, 3, 3), 1 / 3) for name, count in heads.items()}
    open_page(plot.viewer(weights), view="model")
    names = [cell.get_attribute("title") for cell in page.locator(".grid .head").all()]
    assert names == [f"open {n}, head {i}" for n, count in heads.items() for i in range(count)]
    for keys, place in [
        ("Right Down", ("1", "1")),
        ("Right Right", ("1", "3")),
        ("Down", ("2", "0")),
        ("Up Up Left", ("0", "0")),
    ]:
        for key in keys.split():
            page.keyboard.press(f"Arrow{key}")
        current = page.locator(".head[aria-current=true]")
        assert current.get_attribute("title") == f"open layers.{place[0]}, head {place[1]}"
    page.keyboard.press("Enter")
    page.wait_for_selector("html[data-ready=matrix]", state="attached")


@pytest.mark.parametrize("width", [390, 1280])
def test_thumbnails_are_maps_or_lines_and_fit(open_page, page, width):
    page.set_viewport_size({"width": width, "height": 800})
    open_page(plot.viewer(np.full((12, 12, 3, 3), 1 / 3)), view="overview", thumbs="lines")
    assert page.evaluate("document.querySelector('.head canvas').width") == 96
    page.get_by_role("combobox", name="Drawn as", exact=True).select_option("maps")
    assert page.evaluate("document.querySelector('.head canvas').width") == 3
    grid = page.locator(".grid").bounding_box()
    assert grid["x"] + grid["width"] <= width
    assert min(cell.bounding_box()["width"] for cell in page.locator(".head").all()[:12]) >= 24


def test_the_saved_picture_has_the_same_tints(open_page, tmp_path):
    page = open_page(viewer(), **STATE)
    with page.expect_download() as download:
        page.get_by_role("button", name="SVG").click()
    download.value.save_as(tmp_path / "heads.svg")
    picture = (tmp_path / "heads.svg").read_text("utf-8")
    opacities = [float(x) for x in re.findall(r'<rect[^>]* opacity="([\d.]+)"', picture)]
    assert len(opacities) == 4
    np.testing.assert_allclose(np.array(opacities) / opacities[0], [1, 0.25, 0, 0.5], atol=1e-6)
