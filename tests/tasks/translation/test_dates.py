"""Dates and their links, against Babel's own formatting and against what the texts say."""

import datetime

import numpy as np
import pytest
from babel.dates import format_date

from attn_jax.tasks import Translation
from attn_jax.tasks.translation.dates import FORMATS, LOCALES, dates_examples, format_example
from attn_jax.tasks.translation.tokens import normalize


@pytest.fixture(scope="module")
def days() -> list[datetime.date]:
    rng = np.random.default_rng(3)
    first, last = datetime.date(1000, 1, 1).toordinal(), datetime.date(2999, 12, 31).toordinal()
    return [datetime.date.fromordinal(int(o)) for o in rng.integers(first, last + 1, 17)]


def test_a_french_date_by_hand():
    pair = format_example(datetime.date(2016, 2, 7), "fr", "full")
    assert pair.source_text == "dimanche 7 février 2016"
    assert "".join(pair.target) == pair.target_text == "2016-02-07"
    assert pair.sure == ((0, 19), (1, 20), (2, 21), (3, 22), (9, 9))
    year = {(t, s) for t in range(4) for s in range(19, 23)}
    month = {(t, s) for t in (5, 6) for s in range(11, 18)}
    assert set(pair.possible) == year | month | {(8, 9), (9, 9)}
    assert len(pair.possible) == len(set(pair.possible))


@pytest.mark.parametrize(
    ("locale", "length", "text", "sure"),
    [
        ("ja", "medium", "1003/12/09", [*zip(range(4), range(4), strict=True), (5, 5), (6, 6)]),
        ("vi", "long", "9 tháng 12, 1003", [(0, 12), (1, 13), (2, 14), (3, 15), (5, 8), (6, 9)]),
    ],
)
def test_a_digit_within_a_months_name_is_copied_too(locale, length, text, sure):
    pair = format_example(datetime.date(1003, 12, 9), locale, length)
    assert pair.source_text == text
    days = [(8, 8), (9, 9)] if locale == "ja" else [(9, 0)]
    assert list(pair.sure) == sure + days


@pytest.mark.parametrize("length", FORMATS)
@pytest.mark.parametrize("locale", LOCALES)
def test_texts_are_babels_and_sure_links_join_equal_digits(locale, length, days):
    for day in days:
        pair = format_example(day, locale, length)
        assert pair.source_text == normalize(format_date(day, length, locale=locale))
        assert "".join(pair.source) == pair.source_text
        assert pair.target_text == day.isoformat()
        assert set(pair.sure) <= set(pair.possible)
        assert {t for t, _ in pair.possible} == {0, 1, 2, 3, 5, 6, 8, 9}
        assert all(pair.source[s] == pair.target[t] for t, s in pair.sure)
        # Another route to the year: the only four digits in a row.
        year = pair.source_text.index(f"{day.year}")
        assert {s for t, s in pair.possible if t < 4} == set(range(year, year + 4))
        assert {(t, year + t) for t in range(4)} <= set(pair.sure)


@pytest.mark.parametrize("locale", LOCALES)
def test_a_months_span_is_all_that_changes_with_the_month(locale):
    january, may = (format_example(datetime.date(2001, m, 11), locale, "long") for m in (1, 5))
    rest = []
    for pair in (january, may):
        month = {s for t, s in pair.possible if t in (5, 6)}
        rest.append("".join(c for s, c in enumerate(pair.source) if s not in month))
    assert rest[0] == rest[1]


def test_no_text_means_two_days():
    meanings = {}
    for month in range(1, 13):
        for day in (1, 2, 11, 12, 21):
            date = datetime.date(1112, month, day)
            for locale in LOCALES:
                for length in FORMATS:
                    text = format_example(date, locale, length).source_text
                    assert meanings.setdefault(text, date) == date


def test_splits_share_no_day_and_years_are_wide():
    splits = dates_examples(train=1009, validation=101, test=103, seed=7)
    targets = {split: {pair.target_text for pair in pairs} for split, pairs in splits.items()}
    assert {split: len(days) for split, days in targets.items()} == {
        "train": 1009,
        "validation": 101,
        "test": 103,
    }
    assert len(set.union(*targets.values())) == 1009 + 101 + 103
    assert len({target[:2] for target in targets["train"]}) == 20
    assert len(LOCALES) >= 30
    assert splits == dates_examples(train=1009, validation=101, test=103, seed=7)
    assert splits != dates_examples(train=1009, validation=101, test=103, seed=8)


def test_more_days_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"need 800002 different days, .* have only 730485; ask"):
        dates_examples(train=800_000, validation=1, test=1, seed=0)


def test_links_number_the_columns_of_the_rows():
    task = Translation(train=600, validation=11, test=13)
    for bucket in task.load()["test"]:
        for source, target, place in zip(*bucket.values(), strict=True):
            pair = task.examples("test")[place]
            shown = [task.source_tokenizer.vocabulary[n] for n in source if n]
            known = [
                token if token in task.source_tokenizer.vocabulary else "⁇" for token in pair.source
            ]
            assert shown == known
            assert task.target_tokenizer.decode(target) == pair.target_text
