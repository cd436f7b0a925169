"""Dates as dozens of languages write them, to be written as ISO 8601 does.

Babel knows how: Unicode's CLDR gives each language a pattern of fields, and formatting field by
field tells which characters the day, the month and the year have become. A digit of the target that
stands in its field is a *sure* link to that very character; a link from a digit to any character of
its field is *possible*. Hyphens, weekdays and eras have none.
"""

import datetime
import functools
import re
import sys
import unicodedata
from collections.abc import Iterator

import numpy as np
from babel import Locale
from babel.dates import DateTimeFormat, tokenize_pattern

from attn_jax.tasks.translation.example import Example, Links

__all__ = ["FORMATS", "LOCALES", "dates_examples", "format_example"]

# fmt: off
LOCALES = (
    "en", "fr", "de", "es", "it", "pt", "nl", "sv", "pl", "cs", "ru", "uk", "bg", "el",
    "tr", "fi", "hu", "ro", "zh", "ja", "ko", "ar", "he", "fa", "hi", "bn", "ta", "te",
    "th", "vi", "ka", "hy", "am", "km", "my", "lo", "gu", "kn", "ml", "pa", "si", "ur",
    "id", "is", "ga",
)
"""The languages, of every script that many people read."""
# fmt: on

FORMATS = ("full", "long", "medium")
"""CLDR's lengths of a date; its ``short`` is left out, for it does not tell days from months."""

_FIRST, _LAST = datetime.date(1000, 1, 1), datetime.date(2999, 12, 31)
# Where the digits of each field stand in YYYY-MM-DD.
_TARGET = {"y": (0, 1, 2, 3), "M": (5, 6), "L": (5, 6), "d": (8, 9)}


def dates_examples(
    *, train: int, validation: int, test: int, seed: int
) -> dict[str, list[Example]]:
    """Draws days of the years 1000 to 2999, each once, and a language and a length for each.

    So the splits share no day, in whatever language. The years are many because those of one
    century could be guessed without looking at their first digits.

    Args:
        train: How many to learn from.
        validation: How many to select by.
        test: How many to be judged by.
        seed: Of all days.

    Returns:
        The examples of each split.

    Raises:
        ValueError: There are not so many days.

    Example:
        >>> splits = dates_examples(train=3, validation=2, test=2, seed=0)
        >>> {split: len(examples) for split, examples in splits.items()}
        {'train': 3, 'validation': 2, 'test': 2}

    References:
        Unicode Locale Data Markup Language, part 4, Dates, https://unicode.org/reports/tr35/.
    """
    days = (_LAST - _FIRST).days + 1
    wanted = train + validation + test
    if wanted > days:
        raise ValueError(
            f"train={train}, validation={validation} and test={test} need {wanted} different days, "
            f"and the years 1000 to 2999 have {days}; ask for fewer."
        )
    rng = np.random.default_rng(seed)
    ordinals = rng.permutation(days)[:wanted] + _FIRST.toordinal()
    locales = rng.integers(len(LOCALES), size=wanted).tolist()
    formats = rng.integers(len(FORMATS), size=wanted).tolist()
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
    """Writes one day in one language, and says which character each digit comes from.

    Args:
        day: The day.
        locale: As Babel names it.
        length: Of `FORMATS`.

    Returns:
        The characters of both sides, and the links.

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
    """The letter of each field of the pattern (none for what is between them), and its text."""
    known, pattern = _pattern(locale, length)
    write = DateTimeFormat(day, known)
    for field, value in pattern:
        text = value if isinstance(value, str) else write[field * value[1]]
        # White space one to one, and each piece by itself, so that the spans stay exact.
        yield field, re.sub(r"\s", " ", unicodedata.normalize("NFC", text))


@functools.cache
def _pattern(locale: str, length: str) -> tuple[Locale, tuple[tuple[str, str | tuple], ...]]:
    known = Locale.parse(locale)
    pattern = tokenize_pattern(known.date_formats[length].pattern)
    return known, tuple(
        ("", value) if kind == "chars" else (value[0], value) for kind, value in pattern
    )


def _copied(piece: str, digits: str) -> tuple[tuple[int, int], ...]:
    """Which of a field's digits stand in its text: places among the digits, and in the text."""
    written = re.search(r"[0-9]+", piece)
    if written is None:
        return ()
    count = len(written[0])
    first = len(digits) - count
    return tuple((first + i, written.start() + i) for i in range(count))


@functools.cache
def _links(spans: tuple) -> tuple[Links, Links]:
    sure, possible = [], []
    for places, start, length, copied in spans:
        sure += [(places[digit], start + at) for digit, at in copied]
        possible += [(place, start + at) for place in places for at in range(length)]
    return tuple(sorted(sure)), tuple(sorted(possible))
