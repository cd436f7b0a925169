"""The view of a long sequence: what a summary says, and the parts of the map that were stored."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from attn_jax import plot

expect = pytest.importorskip("playwright.sync_api").expect
TOKENS, TILES = 2003, (53, 47)


def number(page, name):
    text = page.locator(".readout").inner_text()
    return float(re.search(rf"{name}:? ≈ ([\d.e-]+)", text)[1].rstrip("."))


def field(page, name):
    return page.get_by_role("spinbutton", name=name)


@pytest.mark.parametrize("head", [0, 1])
def test_a_token_that_is_asked_for_is_told_of(open_page, long_sequence, head):
    page = open_page(long_sequence.view, head=head)
    field(page, "query").fill("1492")
    field(page, "query").press("Tab")
    page.keyboard.type("711")
    page.keyboard.press("Enter")
    expect(page.locator(".readout")).to_contain_text("query w1492 (1492)")
    expect(page.locator(".readout")).to_contain_text("key w711 (711)")
    summary = long_sequence.summary
    for name, values, at in (
        ("entropy", summary.entropy, 1492),
        ("mean distance", summary.distance, 1492),
        ("largest score", summary.max_logit, 1492),
        ("received mass", summary.received, 711),
    ):
        values = np.asarray(values[head])
        assert number(page, name) == pytest.approx(
            values[at], rel=5e-3, abs=float(np.ptp(values)) / 1e4
        )
    tile = [at * tiles // TOKENS for at, tiles in zip((1492, 711), TILES, strict=True)]
    mean = float(summary.pooled[head][tuple(tile)])
    assert number(page, "Mean weight of the tile") == pytest.approx(mean, rel=0.06)
    shown = np.array(page.locator(".lists li .value").all_inner_texts(), np.float32)
    np.testing.assert_array_equal(shown, summary.top_weights[head, 1492, :4])


def test_a_stored_part_opens_with_the_weights_themselves(open_page, long_sequence):
    page = open_page(long_sequence.view)
    page.get_by_role("button", name="query 1201").click()
    expect(page.locator("figure").nth(1)).to_be_visible()
    weights = long_sequence.tile[0]
    row, column = np.unravel_index(weights.argmax(), weights.shape)
    query, key = row + long_sequence.at[0], column + long_sequence.at[1]
    page.goto(f"{page.url.split('#')[0]}#view=summary&query={query}&key={key}")
    expect(page.locator(".readout")).to_contain_text(f"query w{query} ({query})")
    shown = page.locator(".readout").inner_text().split(" Weight: ")[1].rstrip(".")
    assert np.float32(shown) == np.float32(weights.max())


def test_arrow_keys_move_from_tile_to_tile(open_page, long_sequence):
    page = open_page(long_sequence.view, query=0, key=0)
    page.get_by_role("application", name="Map in tiles").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    edges = [np.arange(tiles + 1) * TOKENS // tiles for tiles in TILES]
    expect(field(page, "key")).not_to_have_value("0")
    query, key = (int(field(page, name).input_value()) for name in ("query", "key"))
    assert edges[0][2] <= query < edges[0][3]
    assert edges[1][1] <= key < edges[1][2]
    expect(page.get_by_role("status")).to_contain_text(f"key w{key} ({key})")


def test_pointing_at_a_line_tells_of_the_token_there(open_page, long_sequence):
    page = open_page(long_sequence.view)
    chart = page.get_by_role("img", name="received mass")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    key = int(re.search(r"key w(\d+)", page.locator(".readout").inner_text())[1])
    assert abs(key - TOKENS / 2) < TOKENS / 20
    page.mouse.down()
    page.mouse.up()
    expect(field(page, "key")).to_have_value(str(key))


def test_lines_are_as_high_as_their_largest_value(open_page, long_sequence):
    page = open_page(long_sequence.view, head="mean")
    received = np.asarray(long_sequence.summary.received).mean(0)
    label = page.get_by_role("img", name="received mass").get_attribute("aria-label")
    assert float(re.search(r"to ([\d.]+) over 2003", label)[1]) == pytest.approx(
        received.max(), rel=5e-3
    )


def test_a_stored_part_is_averaged_over_the_heads(open_page, long_sequence):
    page = open_page(long_sequence.view, head="mean", query=1231, key=1209)
    mean = long_sequence.tile.mean(0)[1231 - 1201, 1209 - 1151]
    assert number(page, "Weight") == pytest.approx(mean, rel=0.06, abs=1e-4)
    page.get_by_role("application", name="Stored part").focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    expect(field(page, "key")).to_have_value("1208")


def test_a_summary_may_lack_tiles_and_labels_and_have_queries_that_see_nothing(open_page):
    entropy, largest = np.array([[0.0, 0.5, 1.5]]), np.array([[-np.inf, 2.0, 3.0]])
    lacking = dict.fromkeys(["pooled", "received", "distance", "top_weights", "top_indices"])
    fields = {"log_normalizer": largest, "entropy": entropy, "max_logit": largest, **lacking}
    page = open_page(plot.viewer(SimpleNamespace(**fields)), query=0, search="2")
    expect(page.locator(".readout")).to_have_text("query 0: entropy ≈ 0.00, largest score none.")
    expect(page.locator("figure:visible")).to_have_count(0)
    expect(page.locator(".chart:visible")).to_have_count(2)
