"""The page around the views: it restores, exports, takes the keyboard, and runs no token."""

import csv
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attn_jax import plot

expect = pytest.importorskip("playwright.sync_api").expect
VIEWS = [
    ("sentence", "matrix"),
    ("sentence", "tokens"),
    ("sentence", "heads"),
    ("sentence", "overview"),
    ("vectors", "neuron"),
    ("digit", "image"),
    ("translation", "alignment"),
    ("two_runs", "compare"),
    ("long_sequence", "summary"),
]
RUN = "document.documentElement.dataset.run = 1"
HOSTILE = {
    f"</script><img src=x onerror='{RUN}'>": "</script><img src=x one…",
    f"<script>{RUN}</script>": "<script>document.docume…",
    "<!-- <script>": "<!-- <script>",
    "]]>": "]]>",
    "a\u2028b\u2029c": "a\\u2028b\\u2029c",
    "\ud800": "\ufffd",
    "\udfff x": "\ufffd x",
    "z" * 2**20: "z" * 23 + "…",
    "": "␣",
    "\x00\n": "\\u0000↵",
    "${alert(1)}": "${alert(1)}",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_axe_finds_nothing_to_complain_of(open_page, page, violations, request, name, view, scheme):
    page.emulate_media(color_scheme=scheme)
    at = {"query": 3, "key": 2, "head": 0}
    open_page(request.getfixturevalue(name).view, view=view, **at)
    assert violations(page) == []


@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_an_address_restores_what_was_seen(open_page, page, request, name, view):
    viewer = request.getfixturevalue(name).view
    open_page(viewer, view=view, head="mean", query=2, key=1, theme="dark", search="t")
    before, url = page.locator("main").inner_text(), page.url
    page.goto("about:blank")
    page.goto(url)
    page.wait_for_selector("html[data-ready]", state="attached")
    assert page.locator("main").inner_text() == before
    assert page.url == url
    assert page.locator("html").get_attribute("data-theme") == "dark"
    expect(page.get_by_role("tab", selected=True)).to_have_id(f"tab-{view}")


def test_a_page_of_hostile_tokens_shows_them_and_runs_none(open_page, page):
    tokens = list(HOSTILE)
    weights = np.full((2, len(tokens), len(tokens)), 1 / len(tokens))
    open_page(plot.viewer(weights, tokens=tokens, title=tokens[0]))
    for name in ("Matrix", "Heads", "Alignment", "Tokens"):
        page.get_by_role("tab", name=name).click()
    page.get_by_label("Search").fill(tokens[0])
    shown = page.get_by_role("listbox", name="Keys").get_by_role("option")
    assert shown.all_text_contents() == list(HOSTILE.values())
    for token in shown.all():
        token.hover()
    assert page.locator("html").get_attribute("data-run") is None
    assert page.locator("main img").count() == 0
    expect(page.get_by_role("heading", level=1)).to_have_text(tokens[0])


@settings(
    max_examples=12,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(tokens=st.lists(st.text(st.characters(), max_size=30), min_size=1, max_size=11))
def test_whatever_the_tokens_there_are_as_many_texts(open_page, page, tokens):
    weights = np.eye(len(tokens))
    open_page(plot.viewer(weights, tokens=tokens), view="tokens")
    options = page.get_by_role("listbox", name="Queries").get_by_role("option")
    expect(options).to_have_count(len(tokens))
    assert all(text.strip() for text in options.all_text_contents())
    assert page.locator("[role=option] *").count() == 0


def test_the_keyboard_alone_goes_everywhere(open_page, page, sentence):
    open_page(sentence.view)
    for key in ("2", "]", "}", "/"):
        page.keyboard.press(key)
    expect(page.get_by_label("Search")).to_be_focused()
    page.keyboard.type("sat")
    page.keyboard.press("Enter")
    for part in ("view=tokens", "head=1", "layer=1", "search=sat", "query=3", "key=3"):
        assert part in page.url
    page.keyboard.press("Escape")
    page.get_by_role("tab", selected=True).focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("tab", name="Matrix")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("t")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def matrix_cell(page):
    """What the matrix says of the cell that is pointed at: query, key and weight."""
    text = page.locator(".readout").inner_text()
    query, key, weight = re.fullmatch(r".*\((\d+)\) → .*\((\d+)\): (.*)", text).groups()
    return int(query), int(key), weight


def test_the_matrix_tells_each_weight_and_zooms(open_page, page, sentence):
    open_page(sentence.view, view="matrix", layer=1, head=1)
    box = page.get_by_role("application").bounding_box()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.6 * box["height"])
    query, key, weight = matrix_cell(page)
    weights = sentence.maps[1, 1]
    error = abs(float(weight.strip("≈ ")) - weights[query, key])
    assert error <= weights[query].max() / 255 + 0.05 * weights[query, key]
    page.mouse.wheel(0, -300)
    expect(page).to_have_url(re.compile("zoom="))
    assert matrix_cell(page)[:2] == (query, key)
    page.mouse.down()
    page.mouse.up()
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(f"query={query}&key={key + 1}"))
    page.keyboard.press("0")
    expect(page).not_to_have_url(re.compile("zoom="))


def test_a_thumbnail_opens_its_head(open_page, page, sentence):
    open_page(sentence.view, view="overview", sort="entropy")
    entropies = -np.sum(sentence.maps * np.log(sentence.maps), axis=-1).mean(-1)
    layer, head = np.unravel_index(entropies.argmin(), entropies.shape)
    page.locator("#view button").first.click()
    expect(page.get_by_role("tab", selected=True)).to_have_text("Matrix")
    expect(page.locator(".field", has_text="Layer").first.locator("select")).to_have_value(
        str(layer)
    )
    expect(page.locator(".field", has_text="Head").first.locator("select")).to_have_value(str(head))


@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_what_is_seen_is_saved(open_page, page, request, tmp_path, name, view):
    open_page(request.getfixturevalue(name).view, view=view, query=1, key=2)
    for kind in ("SVG", "PNG", "CSV"):
        button = page.get_by_role("button", name=kind)
        if button.is_disabled():
            continue
        with page.expect_download() as download:
            button.click()
        download.value.save_as(tmp_path / kind)
    if (tmp_path / "SVG").exists():
        page.set_content((tmp_path / "SVG").read_text("utf-8"))
        assert page.locator("svg").first.bounding_box()["width"] > 200
        assert (tmp_path / "PNG").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.reader((tmp_path / "CSV").read_text("utf-8").splitlines()))
    assert len({len(row) for row in rows}) == 1
    assert len(rows) > 2


def test_a_table_holds_the_weights(open_page, page, translation, tmp_path):
    open_page(translation.view, view="alignment", head=1)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    download.value.save_as(tmp_path / "table.csv")
    rows = list(csv.reader((tmp_path / "table.csv").read_text("utf-8").splitlines()))
    assert rows[0][1:] == translation.source
    assert [row[0] for row in rows[1:]] == translation.target
    weights = translation.maps[0, 1]
    table = np.array([row[1:] for row in rows[1:]], float)
    assert np.all(abs(table - weights) <= weights.max(-1, keepdims=True) / 255)


def test_the_small_print_says_how_each_array_was_read(open_page, page):
    weights = np.full((8, 1, 5), 0.2)
    view = plot.viewer({"pool": weights, "rows": weights[:, 0]}, axes={"pool": "bqk"}, example=3)
    open_page(view)
    small_print = page.locator("footer")
    expect(small_print).to_contain_text(
        "Axes of pool: 8 × 1 × 5 = batch × queries × keys, example 3."
    )
    page.locator(".field", has_text="Layer").first.locator("select").select_option("1")
    expect(small_print).to_contain_text("Axes of rows: 8 × 5 = queries × keys.")
    shown = {"first": weights[None]}
    compared = plot.viewer(shown, compare={"first": np.concatenate([weights[None]] * 2)[:1]})
    open_page(compared, view="compare")
    expect(small_print).to_contain_text("other run: 1 × 8 × 1 × 5 = batch × heads × queries × keys")


def test_a_notebook_shows_the_page_in_a_frame(page, sentence):
    page.set_content(f"<main>{sentence.view.select(view='tokens')._repr_html_()}</main>")
    frame = page.frame_locator("iframe")
    frame.get_by_role("listbox", name="Queries").get_by_text("cat").click()
    expect(frame.locator(".readout")).to_contain_text("cat (2) attends to")
