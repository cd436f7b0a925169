"""The report card below the maps."""

import numpy as np
import pytest

from attn_jax import plot

expect = pytest.importorskip("playwright.sync_api").expect
NAMES = ("title", "value", "low", "high", "random", "uniform", "reads", "verdict")
LINES = [
    ("Deletion", 0.42, 0.3, 0.5, 0.1, None, "supports", "moves the prediction"),
    ("Permuted", 0.02, None, None, 0.1, 0.2, "against", "<b>does not move it</b>"),
    ("Agreement", 12.34, -0.1, 0.2, 0.1, 0.2, "unclear", "its interval holds zero"),
]
CARD = {"verdict": "Be careful.", "lines": [dict(zip(NAMES, line, strict=True)) for line in LINES]}


@pytest.fixture(scope="module")
def view():
    return plot.viewer(np.full((2, 5, 7), 1 / 7), axes="hqk", card=CARD)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_of(open_page, page, violations, view, scheme):
    page.emulate_media(color_scheme=scheme)
    open_page(view)
    assert violations(page) == []


def test_each_line_says_its_numbers_and_its_verdict(open_page, page, view):
    open_page(view)
    rows = page.locator(".card tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("0.420 0.300 to 0.500")
    expect(rows.nth(0)).to_contain_text("supports the map: moves the prediction")
    expect(rows.nth(1)).to_contain_text("speaks against the map: <b>does not move it</b>")
    expect(rows.nth(2)).to_contain_text("12.3")
    expect(page.locator(".card summary")).to_contain_text("Be careful.")


def test_a_page_without_a_card_has_none(open_page, page):
    open_page(plot.viewer(np.full((5, 7), 1 / 7)))
    expect(page.locator(".card")).to_have_count(0)
