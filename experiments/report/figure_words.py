"""The words inside figures, in the language of the page that shows them."""

import contextlib
import functools
import json
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from attn_jax.plot.chinese import translation
from attn_jax.plot.figure import safe
from attn_jax.plot.fonts import missing
from experiments.report.language import check_language

_Value = TypeVar("_Value")
_language = ContextVar("_language", default="en")


@contextlib.contextmanager
def figures_in(language: str) -> Iterator[None]:
    """Make the figures of a block with their words in a language.

    If no installed font has Chinese characters, a line on standard error says so, once, and the
    words of drawings stay English.

    Args:
        language: `"en"` or `"zh"`, Chinese.

    Raises:
        ValueError: If there is no such language.
    """
    check_language(language)
    if language != "en":
        _has_font()
    token = _language.set(language)
    try:
        yield
    finally:
        _language.reset(token)


def viewer_label(text: str) -> str:
    """Return a label for a viewer, whose fonts are the browser's, in the language of the block.

    Args:
        text: The label in English, one of those of figures.
    """
    return text if _language.get() == "en" else _chinese(text) or text


def viewer_labels(values: Mapping[str, _Value]) -> dict[str, _Value]:
    """Return what belongs to each name, by the name in the language of the block.

    Args:
        values: The values by name, such as the maps of layers.
    """
    return {viewer_label(name): value for name, value in values.items()}


def translate(figure: Figure) -> None:
    """Write the titles, labels and legends of a drawing in the language of the block.

    Tokens and other data stay as they are: the labels of ticks, and texts within the axes unless
    they are one of the sentences that hold values.

    Args:
        figure: A drawing by :mod:`attn_jax.plot` or an experiment, in English.
    """
    if _language.get() == "en" or not _has_font():
        return
    ticks = {text for ax in figure.axes for text in _tick_labels(ax)}
    within = {text for ax in figure.axes for text in ax.texts if not isinstance(text, Annotation)}
    for text in figure.findobj(Text):
        if isinstance(text, Text) and text not in ticks:
            _write(text, is_data=text in within)


def _write(text: Text, *, is_data: bool) -> None:
    known = _chinese(text.get_text(), is_data=is_data)
    if known is not None:
        text.set_text(known)
        safe(text)


def _chinese(text: str, *, is_data: bool = False) -> str | None:
    """Return a text in Chinese if it is known: one of data only as a sentence around it."""
    words, sentences, values = _tables()
    if text in words or text in values:
        return None if is_data else words.get(text)
    return translation(text, sentences | values)


def _tick_labels(ax: Axes) -> Iterator[Text]:
    for axis in (ax.xaxis, ax.yaxis):
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            yield from (tick.label1, tick.label2)


@functools.cache
def _tables() -> tuple[dict[str, str], ...]:
    """Return Chinese for words, for sentences with places for values, and for some values."""
    text = Path(__file__).with_name("figure_words.json").read_text("utf-8")
    return tuple(json.loads(text).values())


@functools.cache
def _has_font() -> bool:
    if not missing("".join(text for table in _tables() for text in table.values())):
        return True
    print(
        "The words inside the figures stay English, as no installed font has Chinese characters; "
        "pip install 'attn-jax[fonts]' brings one.",
        file=sys.stderr,
    )
    return False
