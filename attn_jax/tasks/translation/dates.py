"""Dates in dozens of languages, to be translated into ISO 8601.

Unicode's CLDR, read by Babel, has a pattern of fields for each language. Formatting field by field
shows which characters belong to the day, the month and the year. A digit of the target that occurs
in its field has a *sure* link to that character; links from a digit to all characters of its field
are *possible*. Hyphens, weekdays and eras have no links.
"""

import datetime
import functools
import re
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any

import numpy as np

from attn_jax._extras import require
from attn_jax.tasks.translation.example import Example, Links

__all__ = ["FORMATS", "LOCALES", "dates_examples", "format_example"]

# fmt: off
LOCALES = (
    "en", "fr", "de", "es", "it", "pt", "nl", "sv", "pl", "cs", "ru", "uk", "bg", "el",
    "tr", "fi", "hu", "ro", "zh", "ja", "ko", "ar", "he", "fa", "hi", "bn", "ta", "te",
    "th", "vi", "ka", "hy", "am", "km", "my", "lo", "gu", "kn", "ml", "pa", "si", "ur",
    "id", "is", "ga",
)
"""The languages, which cover all widely used scripts."""
# fmt: on

FORMATS = ("full", "long", "medium")
"""The lengths of a date in CLDR, without `short`, where days and months look alike."""

_FIRST, _LAST = datetime.date(1000, 1, 1), datetime.date(2999, 12, 31)
# Names are looked up once, for one day of each weekday or month.
_NAMES = dict.fromkeys(
    ("EEEE", "cccc", "EEE"), lambda day: datetime.date(2001, 1, 1 + day.weekday())
) | dict.fromkeys(("MMMM", "MMM", "LLLL"), lambda day: datetime.date(2001, day.month, 1))
# The positions of each field in YYYY-MM-DD.
_TARGET = {"y": (0, 1, 2, 3), "M": (5, 6), "L": (5, 6), "d": (8, 9)}


def dates_examples(
    *, train: int, validation: int, test: int, seed: int
) -> dict[str, list[Example]]:
    """Draw days of the years 1000 to 2999, each once, and a language and a length for each.

    So the splits share no day in any language. There are many years because, within one century, a
    model could guess the first digits without attending to them.

    Args:
        train: The number of training examples.
        validation: The number of validation examples.
        test: The number of test examples.
        seed: The seed for drawing the days, languages and lengths.

    Returns:
        The examples of each split.

    Raises:
        ValueError: If there are fewer days than examples.

    Example:
        >>> splits = dates_examples(train=3, validation=2, test=2, seed=0)
        >>> {split: len(examples) for split, examples in splits.items()}
        {'train': 3, 'validation': 2, 'test': 2}

    References:
        Unicode Locale Data Markup Language, part 4, Dates, https://unicode.org/reports/tr35/.
    """
    days = (_LAST - _FIRST).days + 1
    count = train + validation + test
    if count > days:
        raise ValueError(
            f"train={train}, validation={validation} and test={test} need {count} different days, "
            f"but the years 1000 to 2999 have only {days}; ask for fewer."
        )
    rng = np.random.default_rng(seed)
    ordinals = rng.permutation(days)[:count] + _FIRST.toordinal()
    locales = rng.integers(len(LOCALES), size=count).tolist()
    formats = rng.integers(len(FORMATS), size=count).tolist()
    examples = [
        format_example(datetime.date.fromordinal(ordinal), LOCALES[locale], FORMATS[length])
        for ordinal, locale, length in zip(ordinals.tolist(), locales, formats, strict=True)
    ]
    return {
        "train": examples[:train],
        "validation": examples[train : train + validation],
        "test": examples[train + validation :],
    }


def format_example(day: datetime.date, locale: str, length: str) -> Example:
    """Write a day in a language, and link each digit of the target to its characters.

    Args:
        day: The day.
        locale: The language, by its name in Babel.
        length: A length from `FORMATS`.

    Returns:
        The characters of both sides and the links.

    Example:
        >>> pair = format_example(datetime.date(2016, 2, 7), "fr", "full")
        >>> pair.source_text, pair.target_text, pair.sure
        ('dimanche 7 février 2016', '2016-02-07', ((0, 19), (1, 20), (2, 21), (3, 22), (9, 9)))
    """
    pieces = [*_pieces(day, locale, length)]
    text = "".join(piece for _, piece in pieces)
    target = f"{day.year:04d}-{day.month:02d}-{day.day:02d}"
    spans, start = [], 0
    for field, piece in pieces:
        if field in _TARGET:
            digits = "".join(target[place] for place in _TARGET[field])
            spans.append((_TARGET[field], start, len(piece), _copied(piece, digits)))
        start += len(piece)
    sure, possible = _links(tuple(spans))
    return Example(
        tuple(map(sys.intern, text)), tuple(map(sys.intern, target)), sure, possible, text, target
    )


def _pieces(day: datetime.date, locale: str, length: str) -> Iterator[tuple[str, str]]:
    """Yield the letter of each field (empty for the text between fields) and the text."""
    parsed, pattern = _pattern(locale, length)
    from babel.dates import DateTimeFormat

    write = DateTimeFormat(day, parsed)
    for field, text in pattern:
        if field in _NAMES:
            yield field[0], _name(locale, field, _NAMES[field](day))
        else:
            yield field[:1], _one_to_one(write[field]) if field else text


@functools.cache
def _pattern(locale: str, length: str) -> tuple[Any, tuple[tuple[str, str], ...]]:
    """Return Babel's locale, the fields of its dates in order, and the text between them."""
    require("babel", extra="text")
    from babel import Locale
    from babel.dates import tokenize_pattern

    parsed = Locale.parse(locale)
    pieces = tokenize_pattern(parsed.date_formats[length].pattern)
    return parsed, tuple(
        ("", _one_to_one(piece)) if isinstance(piece, str) else (str(piece[0]) * int(piece[1]), "")
        for _, piece in pieces
    )


@functools.cache
def _name(locale: str, field: str, day: datetime.date) -> str:
    from babel import Locale
    from babel.dates import DateTimeFormat

    return _one_to_one(DateTimeFormat(day, Locale.parse(locale))[field])


def _one_to_one(text: str) -> str:
    # Pieces are normalized one by one, without joining their blanks, so the spans stay exact.
    return re.sub(r"\s", " ", unicodedata.normalize("NFC", text))


def _copied(piece: str, digits: str) -> tuple[tuple[int, int], ...]:
    """Pair the positions of a field's digits in the target with those in its text."""
    match = re.search(r"[0-9]+", piece)
    if match is None:
        return ()
    count = len(match[0])
    first = len(digits) - count
    return tuple((first + i, match.start() + i) for i in range(count))


@functools.cache
def _links(spans: tuple) -> tuple[Links, Links]:
    sure, possible = [], []
    for places, start, length, copied in spans:
        sure += [(places[digit], start + offset) for digit, offset in copied]
        possible += [(place, start + offset) for place in places for offset in range(length)]
    return tuple(sorted(sure)), tuple(sorted(possible))
