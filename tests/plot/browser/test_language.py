"""The language of the page: chosen at once, kept in the address, never that of a given text."""

import re

import numpy as np
import pytest

from attn_jax import plot

expect = pytest.importorskip("playwright.sync_api").expect

CHINESE = re.compile(r"[\u4e00-\u9fff]")


def language(page):
    return page.evaluate("document.documentElement.lang")


def test_a_select_changes_every_word_and_its_address_restores_them(open_page, sentence, address):
    page = open_page(sentence.view, query=2, key=3)
    assert language(page) == "en"
    assert not CHINESE.search(page.locator("main").inner_text())
    select = page.get_by_label("Language")
    select.focus()
    select.select_option("中文")
    expect(page.get_by_role("tab", selected=True)).to_have_text("矩阵")
    assert language(page) == "zh-Hans"
    assert page.get_by_label("语言").evaluate("x => x === document.activeElement")
    expect(page.locator(".lists h2")).to_have_text(["cat 关注", "关注 sat 的查询"])
    expect(page.locator("footer")).to_contain_text("批次 × 头 × 查询 × 键，例子 0。")
    assert page.url.endswith("#query=2&key=3&language=zh")
    page.goto("about:blank")
    page.goto(f"{address(sentence.view)}#language=zh&view=tokens")
    expect(page.get_by_role("tab", selected=True)).to_have_text("词元")
    page.get_by_label("语言").select_option("English")
    expect(page.get_by_role("tab", selected=True)).to_have_text("Tokens")
    assert language(page) == "en"


@pytest.mark.parametrize("view", ["matrix", "tokens", "heads", "overview"])
def test_no_english_is_left_but_the_user_s(open_page, view):
    words = ["Keys", "Queries", "head", "layer"]
    weights = {"one.weights": np.full((1, 2, 4, 4), 0.25)}
    settings = {"tokens": words, "title": "Heads", "measures": {"my score": [1, 2]}}
    page = open_page(plot.viewer(weights, **settings, language="zh"), view=view, query=0, key=1)
    text = page.locator("#app").inner_text()
    assert CHINESE.search(text)
    left = set(re.findall(r"[A-Za-z]{2,}", text))
    assert left <= {
        *words,
        "Heads",
        "one",
        "weights",
        "my",
        "score",
        "SVG",
        "PNG",
        "CSV",
        "English",
    }
    expect(page.get_by_role("heading", level=1)).to_have_text("Heads")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_and_all_is_named_in_chinese(
    open_page, page, cut, violations, vectors, width
):
    page.set_viewport_size({"width": width, "height": 800})
    for view in ("matrix", "heads", "neuron"):
        open_page(vectors.view, view=view, language="zh", query=1, key=2)
        assert cut(page) == []
    assert violations(page) == []
