"""Any text is a label: nothing crashes, nothing is read as mathematics, nothing is missing."""

import io
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.mathtext import MathTextParser
from matplotlib.text import Text

from attn_jax import plot
from attn_jax.plot import fonts
from attn_jax.plot.figure import Figure, plain, safe

HOSTILE = [
    *("$x_1$", "$\\frac{", "$$", "a_b^c", "\\", "\\$", "%#&~", "_hidden", "", " ", "\n\t\x00"),
    *(
        "注意力机制",
        "アテンション",
        "주의",
        "انتباه",
        "תשומת לב",
        "ध्यान",
        "👩\u200d👧🏽",
        "🇫🇷",
        "\u200b",
    ),
    *("\u202e\u2066gnp.exe", "e\u0301\u0323" * 9, "\ud800", "\U0010ffff", "$" * 200, "é" * 200),
]
# What no font has is drawn as a box, with a warning.
boxes_are_drawn = pytest.mark.filterwarnings("ignore:no installed font has")
THREE = np.full((3, 3), 1 / 3)
DRAW = {
    "heatmap": lambda t: plot.heatmap(THREE, queries=t, keys=t),
    "alignment": lambda t: plot.alignment(THREE, source=t, target=t, sure=np.eye(3)),
    "arcs": lambda t: plot.arcs(THREE, queries=t, keys=t),
    "bars": lambda t: plot.bars(THREE[0], keys=t),
    "film": lambda t: plot.film(THREE[None][[0, 0, 0]], steps=t, unit=t[0]),
    "titles": lambda t: plot.image_grid(np.zeros((3, 3, 3)), THREE, (3, 1), titles=t),
    "readings": lambda t: plot.image_grid(
        np.zeros((3, 3, 3)), THREE, (1, 3), labels=t, predictions=t[::-1]
    ),
    "curves": lambda t: plot.curves([{t[0]: 1, f"{t[1]}/m": 2.0, f"{t[2]}/m": 3.0}], ["m"], x=t[0]),
}


def written(figure, suffix="png"):
    """Draws the figure while mathematics is forbidden."""
    buffer = io.BytesIO()
    with mock.patch.object(MathTextParser, "parse", side_effect=AssertionError("mathematics")):
        figure.savefig(buffer, format=suffix, dpi=40)
    return buffer.getvalue()


@boxes_are_drawn
@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(DRAW)), st.lists(st.text(max_size=200), min_size=3, max_size=3))
@example("curves", ["$x$", "_a", "/"])
def test_any_text_can_be_a_label(figure, labels):
    drawn = DRAW[figure](labels)
    written(drawn)
    for text in drawn.findobj(Text):
        assert not text.get_parse_math() or "$" not in text.get_text()


@boxes_are_drawn
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_hostile_labels_are_drawn_in_every_format(suffix):
    weights = np.full((1, len(HOSTILE)), 1 / len(HOSTILE))
    assert written(plot.heatmap(weights, keys=HOSTILE), suffix)


@boxes_are_drawn
@pytest.mark.parametrize("figure", DRAW)
def test_hostile_labels_are_drawn_in_every_figure(figure):
    for at in range(0, len(HOSTILE) - 2, 3):
        written(DRAW[figure](HOSTILE[at : at + 3]))


def test_every_split_is_named_in_the_legend():
    ax = plot.curves([{"epoch": 1, "_a/$m$": 1.0, "b/$m$": 2.0}], ["$m$"]).axes[0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["_a", "b"]


def ink(label):
    """The darkness of each pixel of a label."""
    figure = Figure((2.0, 0.5), layout="none")
    safe(figure.text(0.5, 0.5, plain(label), fontsize=20, ha="center", va="center"))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return 255 - np.asarray(canvas.buffer_rgba())[..., 0].astype(int)


def test_chinese_japanese_and_korean_have_glyphs():
    assert fonts.packaged(), "the font package of the extra `fonts` belongs to the tests"
    for one, other in ("注意", "アカ", "한국", "们这"):
        assert (ink(one) != ink(other)).any()
        assert ink(one).any()


def test_without_a_font_there_is_a_box_and_a_warning(monkeypatch):
    monkeypatch.setattr(fonts, "_PACKAGES", ("no_such_package",))
    assert fonts.packaged() == []
    last = fonts.fallbacks()[-1]
    usual = [font for font in fonts.fontManager.ttflist if font.name in ("DejaVu Sans", last)]
    monkeypatch.setattr(fonts.fontManager, "ttflist", usual)
    monkeypatch.setattr(fonts, "_known_families", lambda: (last,))
    with pytest.warns(UserWarning, match=r"no installed font has '注' \(U\+6CE8\).*addfont"):
        first = ink("注")
    with pytest.warns(UserWarning, match="no installed font has '意'"):
        second = ink("意")
    assert first.any()
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("label", ["नमस्ते", "สวัสดี", "👍🏽"])
@pytest.mark.parametrize("figure", ["alignment", "arcs", "bars", "film", "titles", "curves"])
def test_labels_in_scripts_without_a_font_warn(monkeypatch, figure, label):
    known = {chr(code) for code in fonts._union(fonts._known_families()[:-1])}
    boxes = "".join(dict.fromkeys(c for c in label if c not in known))
    monkeypatch.setattr(fonts, "_search", lambda lacking, _: fonts._Others((), lacking))
    with pytest.warns(UserWarning, match=f"no installed font has '{boxes}'"):
        DRAW[figure]([label] * 3)


@boxes_are_drawn
@pytest.mark.parametrize(
    ("label", "note"),
    [
        ("नमस्ते", "[Devanagari ×4]"),
        ("สวัสดี", "[Thai ×4]"),
        ("👍🏽", "[thumbs up, tone 4]"),
        ("👩\u200d🔬", "[woman, microscope]"),
        ("a हिन्दी", "a [Devanagari ×3]"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("e\u0301", "e\u0301"),
    ],
)
def test_what_no_font_has_is_a_note(monkeypatch, label, note):
    last = fonts.fallbacks()[-1]
    usual = [font for font in fonts.fontManager.ttflist if font.name in ("DejaVu Sans", last)]
    monkeypatch.setattr(fonts.fontManager, "ttflist", usual)
    monkeypatch.setattr(fonts, "_known_families", lambda: (last,))
    fonts._search.cache_clear()
    figure = plot.heatmap(THREE, queries=[label] * 3)
    written(figure)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [note] * 3


def test_long_labels_are_cut_between_letters():
    assert plain("👍🏽" * 20, max_length=5) == "👍🏽👍🏽…👍🏽👍🏽"
    assert plain("\u200da\u200db") == "\\u200da\\u200db"


def test_a_font_added_later_draws_what_the_others_lack(monkeypatch):
    font = next(f for f in fonts.fontManager.ttflist if f.name == "STIXGeneral")
    last = fonts.fallbacks()[-1]
    letter = "Ⓐ"
    usual = [f for f in fonts.fontManager.ttflist if f.name in ("DejaVu Sans", last)]
    monkeypatch.setattr(fonts, "_known_families", lambda: (last,))
    monkeypatch.setattr(fonts.fontManager, "ttflist", usual)
    assert fonts.missing(letter) == letter
    monkeypatch.setattr(fonts.fontManager, "ttflist", [*usual, font])
    assert fonts.missing(letter) == ""
    assert fonts.fallbacks(letter) == ("STIXGeneral", last)


def test_right_to_left_words_begin_at_the_right():
    inked = np.flatnonzero(ink("שי").any(0))  # a broad letter, then a narrow one
    left, right = np.split(inked, np.flatnonzero(np.diff(inked) > 1) + 1)
    assert len(right) > 2 * len(left)


def test_arabic_letters_are_joined():
    apart = [np.ptp(np.flatnonzero(ink(letter).sum(0))) for letter in "سل"]
    joined = np.ptp(np.flatnonzero(ink("سل").sum(0)))
    assert joined < 0.9 * sum(apart)


def test_many_labels_are_thinned_out():
    many = [str(at) for at in range(97)]
    for ax, axis in (
        (plot.bars(np.full(97, 1 / 97), keys=many).axes[0], "x"),
        (plot.heatmap(np.full((97, 1), 1.0), queries=many).axes[0], "y"),
    ):
        labels = getattr(ax, f"get_{axis}ticklabels")()
        assert [text.get_text() for text in labels] == many[::3]
