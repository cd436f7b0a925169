"""The view of an image: attention lies on the patches that got it."""

import numpy as np
import pytest

from attn_jax import plot

expect = pytest.importorskip("playwright.sync_api").expect


def patches(page, name):
    return page.get_by_role("listbox", name=name).locator(".patches [role=option]")


def opacities(items):
    texts = [item.evaluate("x => x.style.background") for item in items.all()]
    return np.array(
        [float(text.rstrip(")").split(",")[-1]) if "rgba" in text else 0 for text in texts]
    )


def test_a_patch_that_is_pointed_at_lights_up_those_it_looks_at(open_page, digit):
    page = open_page(digit.view, view="image", layer=1, head=2)
    patches(page, "Queries").nth(16).hover()
    weights = digit.maps[1, 2][17]
    expect(page.locator(".readout")).to_contain_text("row 2, column 2 (17) attends to")
    seen = opacities(patches(page, "Keys"))
    assert seen.argmax() == weights[1:].argmax()
    expected = 0.9 * (weights[1:] / weights[1:].max()) ** 0.8
    np.testing.assert_allclose(seen, expected, atol=0.02)


def test_what_prefix_tokens_get_is_told(open_page, digit):
    page = open_page(digit.view, view="image", layer=0, head=1, query=5)
    text = page.locator(".readout").inner_text()
    before = float(text.split("Prefix tokens receive ≈ ")[1].rstrip("."))
    assert before == pytest.approx(digit.maps[0, 1][5, 0], rel=0.03, abs=0.002)
    page.get_by_role("listbox", name="Queries").get_by_text("prefix 0").click()
    expect(page.locator(".readout")).to_contain_text("prefix 0 (0) attends to")


def test_arrow_keys_move_over_the_grid(open_page, digit):
    page = open_page(digit.view, view="image", query=10, key=10)
    patches(page, "Queries").nth(9).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(patches(page, "Queries").nth(17)).to_be_focused()
    expect(page.locator(".readout")).to_contain_text("row 2, column 3 (18)")


def test_the_patches_cover_the_image(open_page, digit):
    page = open_page(digit.view, view="image")
    image = page.locator(".patches img").first.bounding_box()
    first, last = (patches(page, "Queries").nth(i).bounding_box() for i in (0, 48))
    assert first["x"] == pytest.approx(image["x"], abs=1)
    assert first["y"] == pytest.approx(image["y"], abs=1)
    assert last["x"] + last["width"] == pytest.approx(image["x"] + image["width"], abs=1)
    assert last["y"] + last["height"] == pytest.approx(image["y"] + image["height"], abs=1)


def test_a_smooth_overlay_has_the_weights_of_the_patches(open_page, digit):
    page = open_page(digit.view, view="image", layer=1, head=2, query=17)
    heat = page.get_by_role("listbox", name="Keys").locator(".heat")
    expect(heat).to_be_hidden()
    page.get_by_label("smooth").check()
    expect(heat).to_be_visible()
    pixels = heat.evaluate(
        "x => Array.from(x.getContext('2d').getImageData(0, 0, x.width, x.height).data)"
    )
    weights = digit.maps[1, 2][17][1:]
    shown = np.reshape(pixels, (49, 4))[:, 3] / 255
    np.testing.assert_allclose(shown, 0.9 * (weights / weights.max()) ** 0.8, atol=0.02)


@pytest.mark.parametrize("is_color", [True, False])
def test_a_color_image_keeps_its_colors(open_page, is_color):
    image = np.full((8, 8, 3), 40, np.uint8)
    image[..., 0] = 200 if is_color else 40
    page = open_page(plot.viewer(np.full((1, 4), 0.25), images=image, grid=(2, 2)))
    filters = page.locator(".patches img").first.evaluate("x => getComputedStyle(x).filter")
    assert filters == ("none" if is_color else "grayscale(1)")
