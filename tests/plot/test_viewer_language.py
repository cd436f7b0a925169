"""The words of the page: each has a Chinese entry, and each entry is used."""

import importlib.resources
import re

import numpy as np
import pytest

from attn_jax import plot
from attn_jax.plot.viewer import bundle

WEB = importlib.resources.files("attn_jax.plot.viewer") / "web"


def modules():
    files = [file for folder in (WEB, WEB / "views") for file in folder.iterdir()]
    scripts = {file.name: file.read_text("utf-8") for file in files if file.name.endswith(".js")}
    return {name: text for name, text in scripts.items() if name != "words.js"}


def templates(source):
    """Yield the text of each template that is tagged `say`, its values numbered in braces."""
    for match in re.finditer(r"\bsay`", source):
        text, values, at = "", 0, match.end()
        while source[at] != "`":
            if not source.startswith("${", at):
                text, at = text + source[at], at + 1
                continue
            text, values, depth, at = f"{text}{{{values}}}", values + 1, 1, at + 2
            while depth:
                depth += {"{": 1, "}": -1}.get(source[at], 0)
                at += 1
        yield text


def used():
    tagged = [text for source in modules().values() for text in templates(source)]
    marked = re.findall(r"\[\[(.+?)\]\]", bundle.source("page.html"))
    return {*tagged, *marked}


def test_every_word_has_a_chinese_entry_and_no_entry_is_unused():
    assert len(used()) > 150
    assert used() == set(bundle.chinese())


def test_an_entry_has_the_places_of_its_english():
    for english, chinese in bundle.chinese().items():
        places = [sorted(re.findall(r"\{\d\}", text)) for text in (english, chinese)]
        assert places[0] == places[1], english


def test_chinese_has_full_width_punctuation():
    for chinese in bundle.chinese().values():
        assert not re.search(r"[\u4e00-\u9fff][,.;:?!()]|[,.;:?!()][\u4e00-\u9fff]", chinese), (
            chinese
        )


def test_what_a_reader_sees_is_tagged():
    """A sentence in quotes, or a word given to a heading or a label, would stay English."""
    for name, source in modules().items():
        code = re.sub(r"//.*|/\*[^/]*\*/", "", source)
        assert not re.findall(r'"[A-Z][a-z]+ [a-z]+[^"]*"|"aria-label": "\w[^"]*"', code), name


def test_a_viewer_opens_in_the_language_given():
    weights = np.full((1, 2, 2), 0.5)
    view = plot.viewer(weights, language="zh")
    assert '<html lang="zh-Hans">' in view.html()
    assert "这张图代替一个可交互的页面" in view.html()
    assert plot.viewer(weights).select(language="zh").html() == view.html()
    assert '<html lang="en">' in plot.viewer(weights).html()


def test_a_language_that_the_page_does_not_have_is_an_error():
    with pytest.raises(ValueError, match="no language 'fr' among en, zh"):
        plot.viewer(np.full((1, 2, 2), 0.5), language="fr")
    with pytest.raises(ValueError, match="no language 'fr' among en, zh"):
        plot.viewer(np.full((1, 2, 2), 0.5)).select(language="fr")
