"""Pages in frames, without scripts and on screens of every width: nothing is cut or blank."""

import re

import numpy as np
import pytest

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


def measured(frame):
    """The height of a frame, and of the page in it."""
    inner = frame.element_handle().content_frame()
    height = inner.evaluate("document.body.getBoundingClientRect().height")
    return frame.bounding_box()["height"], height


@pytest.mark.parametrize("width", [390, 768, 1280])
@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_nothing_of_a_view_is_cut(open_page, page, cut, request, name, view, width):
    page.set_viewport_size({"width": width, "height": 800})
    open_page(request.getfixturevalue(name).view, view=view, query=3, key=2)
    assert cut(page) == []


@pytest.mark.parametrize("width", [390, 1280])
def test_viewers_on_one_page_are_as_high_as_their_content(page, sentence, digit, width):
    page.set_viewport_size({"width": width, "height": 800})
    few = plot.viewer(np.eye(3)[None], tokens=["one", "two", "three"], title="Few")
    views = [few, sentence.view.select(view="tokens"), digit.view]
    page.set_content("".join(view._repr_html_() for view in views))
    frames = page.locator("iframe")
    expect(frames).to_have_count(3)
    for frame, view in zip(frames.all(), views, strict=True):
        frame.scroll_into_view_if_needed()  # elsewhere the browser lays out no frame
        inner = frame.content_frame
        expect(inner.locator("html[data-ready]")).to_be_attached()
        expect(frame).to_have_attribute("title", view._content.title)
        page.wait_for_timeout(300)
        outer, height = measured(frame)
        assert outer == pytest.approx(height + 2, abs=1)
        page.wait_for_timeout(300)
        assert measured(frame)[0] == pytest.approx(outer, abs=1)
    assert measured(frames.first)[0] != 704


def test_without_scripts_there_is_a_picture(browser, address, sentence):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto(address(sentence.view))
    expect(page.locator(".still img")).to_be_visible()
    box = page.locator(".still img").bounding_box()
    assert box["x"] + box["width"] <= 390
    context.close()


def test_the_picture_is_printed_and_else_hidden(open_page, page, sentence):
    open_page(sentence.view)
    expect(page.locator(".still img")).to_be_hidden()
    page.emulate_media(media="print")
    expect(page.locator(".still img")).to_be_visible()
    expect(page.locator("#app")).to_be_hidden()


def test_a_frame_that_is_taken_out_leaves_its_picture(page, sentence):
    kept = re.sub(r"<iframe[^>]*>|</iframe>|<script>.*?</script>", "", sentence.view._repr_html_())
    page.set_content(kept)
    expect(page.get_by_role("img", name="A sentence")).to_be_visible()
