"""The page as a browser's parser sees it; what it then does is tested in tests/plot/browser."""

import base64
import hashlib
import json
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from attn_jax import plot
from attn_jax.plot.labels import read_labels
from attn_jax.plot.viewer import bundle

HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "]]>",
    "\u2028\u2029",
    "\ud800",
    "$payload ${script} {{x}} %s",
    "\\u003c/script>",
    "</style></title><script>alert(1)</script>",
    "\x00\r\n",
    "&lt;/script&gt;",
    "x" * 1_000_000,
]


class Reader(HTMLParser):
    """Keeps the elements of a page with their attributes and text."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.elements = []
        self.open = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])
        self.open = True

    def handle_endtag(self, tag):
        self.open = False

    def handle_data(self, data):
        if self.open:
            self.elements[-1][2] += data

    def all(self, tag, **wanted):
        return [
            (attributes, text)
            for name, attributes, text in self.elements
            if name == tag and wanted.items() <= attributes.items()
        ]


def view(tokens=("a", "b"), **settings):
    weights = np.full((1, len(tokens), len(tokens)), 1 / len(tokens))
    return plot.viewer(weights, tokens=list(tokens), **settings)


def payload_of(reader):
    ((_, text),) = reader.all("script", id="payload")
    return json.loads(text)


EXPECTED = [name for name, *_ in Reader(view().html()).elements]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters()) | st.sampled_from(HOSTILE), min_size=2, max_size=5))
@example(HOSTILE)
def test_no_token_becomes_anything_but_text(tokens):
    page = view(tokens).html()
    reader = Reader(page)
    assert [name for name, *_ in reader.elements] == EXPECTED
    assert payload_of(reader)["labels"] == [read_labels(tokens)]
    page.encode()  # a lone surrogate would raise


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters()) | st.sampled_from(HOSTILE))
def test_no_title_or_name_becomes_anything_but_text(text):
    weights = {text: np.ones((1, 1, 2, 1))}
    viewer = plot.viewer(weights, title=text, measures={text: [1]})
    reader = Reader(viewer.html())
    assert [name for name, *_ in reader.elements] == EXPECTED
    payload = payload_of(reader)
    assert payload["title"] == text
    assert payload["layers"][0]["name"] == text
    frame = Reader(viewer._repr_html_())
    assert [name for name, *_ in frame.elements] == ["iframe", "img", "script"]
    inner = Reader(frame.elements[0][1]["srcdoc"])
    assert [name for name, *_ in inner.elements] == EXPECTED


def digest(text):
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_the_policy_allows_the_page_s_own_script_and_style_and_nothing_else():
    reader = Reader(view().html())
    ((policy, _),) = reader.all("meta", **{"http-equiv": "Content-Security-Policy"})
    parts = dict(part.strip().split(" ", 1) for part in policy["content"].split(";"))
    ((_, script),) = reader.all("script", type="module")
    ((_, style),) = reader.all("style")
    assert parts == {
        "default-src": "'none'",
        "script-src": f"'{digest(script)}'",
        "style-src": f"'{digest(style)}'",
        "img-src": "data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_the_page_names_no_other_file():
    for name, attributes, text in Reader(view().html()).elements:
        assert not {"srcset", "action", "background"} & set(attributes)
        assert attributes.get("src", "data:image/webp;base64,").startswith(
            "data:image/webp;base64,"
        )
        assert attributes.get("href", "data:,") == "data:,"
        if name == "style":
            assert "url(" not in text
            assert "@import" not in text


def test_it_says_what_is_rounded():
    script = bundle.script()
    assert "within 1/255 of the largest weight" in script


def test_every_module_is_bundled_once_after_what_it_imports():
    script = bundle.script()
    starts = {
        name: script.index(f'modules["{name}"] = ')
        for name in ("dom.js", "views/panel.js", "views/matrix.js", "views/registry.js", "main.js")
    }
    assert list(starts.values()) == sorted(starts.values())
    assert all(script.count(f'modules["{name}"] = ') == 1 for name in starts)
    assert not [line for line in script.splitlines() if line.startswith(("import ", "export "))]


def softmax(scores):
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def entropy_of(weights):
    return -np.where(weights > 0, weights * np.log(np.maximum(weights, 1e-30)), 0).sum(-1).mean()


def megabytes(weights):
    """The size of a page of 144 maps, by what some of them add; the rest counts once."""
    half = len(weights) // 2
    pages = [len(plot.viewer(maps, axes="hqk").html()) for maps in (weights[:half], weights)]
    return (pages[1] + (pages[1] - pages[0]) * (144 - len(weights)) / (len(weights) - half)) / 1e6


def peaked(noise):
    """Causal maps as trained models have: sinks, the token before, near tokens, like tokens."""
    places = np.arange(512)
    back = places[:, None] - places
    kinds = np.random.default_rng(1).integers(0, 40, 512)
    patterns = [score * (places == 0) for score in (7, 8, 9)]
    patterns += [score * (back == 1) for score in (8, 9)]
    patterns += [-back / reach for reach in (4, 8)]
    patterns += [5 * (kinds[:, None] == kinds)]
    scores = np.stack([np.broadcast_to(pattern, (512, 512)) for pattern in patterns])
    return softmax(np.where(back >= 0, scores + noise, -np.inf))


def test_144_maps_of_512_tokens_are_small():
    noise = np.random.default_rng(0).standard_normal((8, 512, 512))
    random = softmax(2 * noise)
    assert entropy_of(random) == pytest.approx(4.4, abs=0.1)
    assert megabytes(random) < 22
    # Random scores of three nats: at eight bits there is about one bit a weight left to write,
    # seven megabytes in base64 whatever the coder.
    softened = softmax(3.0 * noise)
    assert entropy_of(softened) == pytest.approx(3.0, abs=0.1)
    assert megabytes(softened) < 9
    trained = peaked(noise)
    assert entropy_of(trained) == pytest.approx(1.6, abs=0.1)
    assert megabytes(trained) < 5


@pytest.mark.parametrize(("tokens", "most"), [(8192, 10), (32768, 20)])
def test_pages_of_long_sequences_are_small(tokens, most, summary_of):
    summary = summary_of(heads=4, queries=tokens, top=4)
    names = [f"token{i}" for i in range(tokens)]
    assert len(plot.viewer(summary, tokens=names).html()) < most * 1e6
