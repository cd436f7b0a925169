"""The view of a text: what it shows is what was captured."""

import re

import numpy as np
import pytest

expect = pytest.importorskip("playwright.sync_api").expect
# The piece at which each of the sentence's words begins; "un ##believ ##able" is one of them.
WORDS = [0, 1, 2, 3, 4, 5, 6, 9, 10]


def strength(item):
    """How dark an item's background is: the ramp of attention runs from white to a dark plum."""
    red, green, blue = map(int, re.findall(r"\d+", item.evaluate("x => x.style.background")))
    return 765 - red - green - blue


def side(page, name):
    return page.get_by_role("listbox", name=name).get_by_role("option")


@pytest.mark.parametrize(("layer", "head", "token"), [(0, 1, 2), (1, 2, 7)])
def test_pointing_at_a_token_shows_where_it_looks_and_who_looks_at_it(
    open_page, sentence, layer, head, token
):
    page = open_page(sentence.view, view="tokens", layer=layer, head=head)
    side(page, "Queries").nth(token).hover()
    weights = sentence.maps[layer, head]
    largest = weights[token].argmax()
    told = f"{sentence.tokens[token]} ({token}) attends to {sentence.tokens[largest]} "
    expect(page.locator(".readout")).to_contain_text(told)
    number = page.locator(".readout").inner_text().removeprefix(told).split(",")[0]
    assert np.float32(number) == weights[token, largest]
    for name, shown in (("Keys", weights[token]), ("Queries", weights[:, token])):
        strengths = [strength(item) for item in side(page, name).all()]
        assert strengths[shown.argmax()] == 765 - (58 + 10 + 66)
        order = np.argsort(strengths, kind="stable")
        # Steps of the ramp are equal colors: those in order may differ by one in 128 and 255.
        assert np.all(np.diff(shown[order]) > -shown.max() / 60)


def test_the_mean_of_the_heads_is_their_mean(open_page, sentence):
    page = open_page(sentence.view, view="tokens", layer=1, head="mean", query=3)
    mean = sentence.maps[1].mean(0)[3]
    shown = page.locator(".lists li").first.inner_text().split()
    assert shown[:2] == [sentence.tokens[mean.argmax()], str(mean.argmax())]
    assert float(shown[-1]) == pytest.approx(mean.max(), rel=0.02)


def test_words_get_what_their_pieces_get_and_look_as_they_do(open_page, sentence):
    page = open_page(sentence.view, view="tokens", layer=0, head=0)
    page.get_by_label("whole words").check()
    expect(side(page, "Keys")).to_have_count(len(WORDS))
    side(page, "Queries").filter(has_text="unbelievable").click()
    pieces = sentence.maps[0, 0][6:9].mean(0)
    words = np.add.reduceat(pieces, WORDS)
    shown = page.locator(".lists section").first.locator("li .value").all_inner_texts()
    numbers = [float(text.strip("≈ ")) for text in shown]
    np.testing.assert_allclose(numbers, np.sort(words)[::-1][: len(numbers)], rtol=0.06, atol=0.005)
    assert "words=whole" in page.url
    assert "query=6" in page.url


def test_a_search_marks_tokens_and_enter_goes_to_them(open_page, sentence):
    page = open_page(sentence.view, view="tokens")
    page.get_by_label("Search").fill("THE")
    expect(page.locator(".match")).to_have_text(["the", "the"])
    page.get_by_label("Search").press("Enter")
    expect(side(page, "Queries").nth(1)).to_have_attribute("aria-selected", "true")


def test_the_keyboard_alone_chooses_a_token(open_page, sentence):
    page = open_page(sentence.view, view="tokens")
    queries = side(page, "Queries")
    while not queries.first.evaluate("x => x === document.activeElement"):
        page.keyboard.press("Tab")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
    expect(queries.nth(2)).to_be_focused()
    expect(queries.nth(2)).to_have_attribute("aria-selected", "true")
    expect(side(page, "Keys").nth(2)).to_have_attribute("aria-selected", "true")
    for told in (page.locator(".readout"), page.get_by_role("status")):
        expect(told).to_contain_text("cat (2) attends to")
