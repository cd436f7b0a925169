"""Docstrings as documents: what is read from a source file, and how its words are numbered."""

import hashlib
import json

import jax
import pytest

from attn_jax.tasks import Summaries
from attn_jax.tasks.summaries import packages
from attn_jax.tasks.summaries.docstrings import read_docstrings, read_package, without_copies
from attn_jax.tasks.summaries.pair import Pair
from attn_jax.tasks.translation.tokens import END, UNKNOWN

SOURCE = '''
"""The docstring of a module.

It does not count, however many words it has, because it has no name of its own.
"""
raise SystemExit("a file that is imported ends here")


class Box:
    """Hold a `thing`, or None.

    A box holds one thing at a time, and x_1 is what it holds at first.
    """

    def empty(self):
        """Take the thing out of the box

        and put it somewhere else.
        """

    if True:

        async def shake(self):
            r"""Shake the box until it's empty.

            Things that break \\will not be replaced, whoever has put them into the box.
            """


def long():
    """One two three four five six seven eight nine ten eleven twelve thirteen fourteen
    fifteen.

    A first line must be a paragraph of its own, which this one is not at all.
    """
'''
REST = "a box holds one thing at a time and x_1 is what it holds at first"
HOLD = Pair(
    tuple(REST.split()),
    ("hold", "a", "thing", "or", "none"),
    "boxes",
)


def test_docstrings_are_read_from_the_text_of_a_file():
    hold, shake = read_docstrings(SOURCE, "boxes")
    assert hold == HOLD
    assert shake.summary == ("shake", "the", "box", "until", "it's", "empty")
    assert shake.document[:4] == ("things", "that", "break", "will")
    assert read_docstrings("def broken(:", "boxes") == []


def test_a_package_is_read_without_its_tests_and_the_code_of_others(tmp_path):
    for name in ("b.py", "a/c.py", "tests/d.py", "_vendor/e.py", "test_f.py", "a/g.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(SOURCE.replace("thing", f"thing_{name[0]}"))
    summaries = [pair.summary for pair in read_package(tmp_path, "boxes")]
    assert summaries[::2] == [("hold", "a", f"thing_{x}", "or", "none") for x in "ab"]


def test_a_document_or_a_summary_that_was_read_before_is_a_copy():
    pairs = [
        Pair(("a", "b"), ("c",), "one"),
        Pair(("a", "b"), ("d",), "two"),
        Pair(("e", "f"), ("c",), "two"),
        Pair(("g",), ("e", "f"), "two"),
    ]
    assert list(without_copies(pairs)) == [pairs[0]]
    assert list(without_copies(pairs[::3])) == pairs[::3]


def test_no_package_is_in_two_splits_and_all_licenses_are_permissive():
    names = [package.wheel.name for package in packages.PACKAGES]
    assert len(set(names)) == len(names)
    assert {each.split for each in packages.PACKAGES} == {"train", "validation", "test"}
    licenses = {package.license for package in packages.PACKAGES}
    assert licenses <= {"Apache-2.0", "BSD-3-Clause", "MIT", "PSF-2.0"}


def test_cached_docstrings_are_verified(tmp_path, monkeypatch):
    pairs = [(["a", "b"], ["c"], "scipy"), (["d"], ["e"], "flax")]
    content = json.dumps(pairs).encode()
    monkeypatch.setenv("ATTN_JAX_CACHE", str(tmp_path))
    monkeypatch.setattr(packages, "_fetch", lambda: pairs)
    monkeypatch.setattr(packages, "SHA256", hashlib.sha256(content).hexdigest())
    for _ in range(2):  # The second time from the cache.
        splits = packages.read_pairs()
        assert splits["train"] == [Pair(("a", "b"), ("c",), "scipy")]
        assert splits["test"] == [Pair(("d",), ("e",), "flax")]
        monkeypatch.setattr(packages, "_fetch", list)
    (tmp_path / "docstrings.json.gz").unlink()
    with pytest.raises(ValueError, match=r"docstrings have the sha256 4f53\w+; expected"):
        packages.read_pairs()


LINES = [
    "document\tsummary",
    "The cat x sat; the cat!\tCat x sat",
    "The cat y sat; the cat!\tCat y sat",
    "The cat z sat, the cat w\tCat w z q",
]


def written(folder, lines):
    path = folder / "own.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_unknown_words_are_numbered_by_their_document(tmp_path):
    task = Summaries(path=written(tmp_path, LINES), length=6, vocabulary_size=7)
    splits = task.load()
    assert task.tokenizer.known == ("cat", "sat", "the")
    for split, buckets in splits.items():
        (pair,), (bucket,) = task.pairs(split), buckets
        # The vocabulary ends with 6, so that the third word of each document is 9 if unknown.
        the, cat, sat = task.tokenizer.numbers(["the", "cat", "sat"])
        assert bucket["source"].tolist() == [[the, cat, 9, sat, the, cat]]
        summary = {"x": [cat, 9, sat, END], "y": [cat, 9, sat, END]}
        summary["z"] = [cat, UNKNOWN, 9, UNKNOWN, END]
        target = [number for number in bucket["target"][0].tolist() if number]
        assert target == summary[pair.document[2]]
        assert task.words(pair, [cat, 9, END, the]) == ["cat", pair.document[2]]
    assert task.sizes == {"vocabulary": 7, "copies": 6}


def test_in_training_words_are_hidden_that_the_document_has(tmp_path):
    task = Summaries(path=written(tmp_path, LINES), length=6, vocabulary_size=7, hidden=0.5)
    bucket = task.load()["train"][0]
    the, cat, sat = task.tokenizer.numbers(["the", "cat", "sat"])
    (pair,) = task.pairs("train")
    hidden = set()
    for seed in range(20):
        batch = jax.device_get(task.prepare(bucket, jax.random.key(seed)))
        source, target = batch["source"][0].tolist(), batch["target"][0].tolist()
        # Each word of the document has its own number, or that of its first place.
        assert source[0] == source[4]
        assert source[:4] == [
            number if number < 7 else 7 + at for at, number in enumerate(source[:4])
        ]
        assert source[2] == 9
        assert task.words(pair, source) == list(task.document(pair))
        known = [word for word in task.words(pair, target) if word in task.tokenizer.vocabulary]
        assert {*known} <= {"cat", "sat", task.tokenizer.vocabulary[UNKNOWN]}
        assert target[0] == source[1]
        hidden |= {
            word for word, number in zip((the, cat, 0, sat), source, strict=False) if number >= 7
        }
    assert hidden == {the, cat, sat, 0}
    unchanged = task.prepare(bucket)
    assert unchanged["source"].tolist() == bucket["source"].tolist()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], r"is empty; its first line must name the columns document and summary"),
        (["document\ttitle", "a\tb"], r"line 1: the columns are called .*, separated by tabs"),
        ([*LINES, "A cat.\t..."], r"line 5: the summary '\.\.\.' has no words; write some, or"),
        (LINES[:3], r"has 2 different pairs; .* at least 3: add pairs"),
    ],
)
def test_refuses_files_that_hold_no_summaries(tmp_path, lines, said):
    path = written(tmp_path, lines) if lines else tmp_path / "own.tsv"
    path.touch()
    with pytest.raises(ValueError, match=rf"own\.tsv.*{said}"):
        Summaries(path=path).load()


def test_refuses_settings_out_of_range():
    with pytest.raises(ValueError, match="length=0 must be at least 1"):
        Summaries(length=0)
