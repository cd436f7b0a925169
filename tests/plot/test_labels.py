"""Tokens are shown as people read them, whichever tokenizer they come from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_jax import plot
from attn_jax.plot.graphemes import clusters
from attn_jax.plot.labels import read_labels


def gpt2(text):
    """Write text as GPT-2 does: each byte as a character, unprintable ones from 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    shifted = [byte for byte in range(256) if byte not in printable]
    return "".join(
        chr(byte if byte in printable else 256 + shifted.index(byte)) for byte in text.encode()
    )


@pytest.mark.parametrize(
    ("tokens", "shown"),
    [
        (["The", "Ġcat", "s", ".", "Ċ", "<|endoftext|>"], "The cat ·s . ↵ <|endoftext|>"),
        (["Ġdon", "'t", "Ġ(", "yes", ")"], "don ·'t ( yes )"),
        (["<s>", "▁Hel", "lo", ",", "<0x0A>", "</s>"], "<s> Hel ·lo , ↵ </s>"),
        (["[CLS]", "un", "##believ", "##able", "[SEP]"], "[CLS] un ·believ ·able [SEP]"),
        (["<|startoftext|>", "pho", "to</w>", "!</w>"], "<|startoftext|> pho ·to !"),
        (["un@@", "believ@@", "able", "!"], "un ·believ ·able !"),
        ([" the", " cat", "s"], "the cat ·s"),
        ([gpt2(" é"), gpt2("t"), gpt2("é")], "é ·t ·é"),
        (["▁我", "喜欢", "猫"], "我 喜欢 猫"),
        (["▁สวัส", "ดี"], "สวัส ดี"),
        (["<0xE2>", "<0x82>", "<0xAC>", "▁5"], "€\u00a01/3 €\u00a02/3 €\u00a03/3 5"),
        (["##", "Heading", "C##", "#"], "## Heading C## #"),
        (["Ġorġ", "Malta"], "Ġorġ Malta"),
        (["one", "·", "two"], "one · two"),
        ([1, 2.5, b"ab", np.str_("c")], "1 2.5 ab c"),
    ],
)
def test_marks_of_tokenizers_are_read(tokens, shown):
    assert [text.replace(" ", "\u00a0") for text in read_labels(tokens)] == shown.split(" ")


def test_bytes_of_one_character_are_named_by_their_share():
    whole = gpt2(" 这😀")
    pieces = [whole[:2], whole[2:5], whole[5:]]
    assert read_labels(pieces) == ["这 1/2", "这 2/2😀 1/2", "😀 2/2"]
    assert read_labels(["Ġ", whole[1:3]])[1] == "\\xe8\\xbf"


@given(st.lists(st.text(st.characters(exclude_characters="·"), min_size=1), min_size=1))
def test_there_are_as_many_labels_as_tokens_and_none_is_lost(tokens):
    shown = read_labels(tokens)
    assert len(shown) == len(tokens)
    assert all(shown)


@given(st.text())
def test_clusters_make_the_text(text):
    assert "".join(clusters(text)) == text
    assert all(clusters(text))


def test_pages_and_figures_show_the_same_labels():
    tokens = ["The", "Ġcat", "s"]
    weights = np.full((3, 3), 1 / 3)
    view = plot.viewer(weights, tokens=tokens)
    assert view._content.labels["layer 0"] == (["The", "cat", "·s"],) * 2
    for figure in (plot.heatmap(weights, queries=tokens), view.figure()):
        drawn = figure.axes[0].get_yticklabels()
        assert [text.get_text() for text in drawn] == ["The", "cat", "·s"]


@pytest.mark.parametrize(("name", "place"), [("cat", 1), ("Ġcat", 1), (" cat", 1), ("·s", 2)])
def test_a_token_is_selected_by_its_text_or_as_its_tokenizer_writes_it(name, place):
    view = plot.viewer(np.full((3, 3), 1 / 3), tokens=["The", "Ġcat", "s"])
    assert view.select(query=name)._state["query"] == place
    pieces = plot.viewer(np.full((2, 2), 0.5), tokens=["un", "##able"])
    assert pieces.select(key="##able")._state["key"] == 1
