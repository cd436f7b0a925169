"""The task as a whole: options, rows and buckets, and the reversed letters."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_jax.tasks import Translation
from attn_jax.tasks.translation.buckets import bucket_shapes, make_buckets

SIZES = {"train": 2053, "validation": 101, "test": 103}


@pytest.fixture(scope="module")
def reverse():
    return Translation(name="reverse", **SIZES)


def test_reversed_letters_and_their_anti_diagonal(reverse):
    texts = set()
    for split, count in SIZES.items():
        assert len(reverse.examples(split)) == count
        for pair in reverse.examples(split):
            assert list(pair.target) == list(reversed(pair.source))
            size = len(pair.source)
            linked = [[(t, s) in pair.sure for s in range(size)] for t in range(size)]
            assert np.array_equal(np.fliplr(np.eye(size)), linked)
            assert pair.possible == pair.sure
            texts.add(pair.source_text)
    assert len(texts) == sum(SIZES.values())
    assert reverse.has_gold


def test_rows_are_padded_and_targets_ended(reverse):
    for split, buckets in reverse.load().items():
        places = np.concatenate([bucket["example"] for bucket in buckets])
        assert sorted(places) == list(range(SIZES[split]))
        for bucket in buckets:
            assert {array.dtype for array in bucket.values()} == {np.dtype(np.int32)}
            for source, target, place in zip(*bucket.values(), strict=True):
                letters = [
                    ord(letter) - ord("a") + 4 for letter in reverse.examples(split)[place].source
                ]
                assert source.tolist() == letters + [0] * (len(source) - len(letters))
                assert target.tolist()[: len(letters) + 1] == [*letters[::-1], 2]
                assert not target[len(letters) + 1 :].any()


def test_few_shapes_and_the_same_in_every_split(reverse):
    shapes = {
        split: {(b["source"].shape[1], b["target"].shape[1]) for b in buckets}
        for split, buckets in reverse.load().items()
    }
    assert 2 <= len(shapes["train"]) <= 6
    assert shapes["validation"] | shapes["test"] <= shapes["train"]


def test_what_is_longer_than_training_goes_into_the_last_bucket():
    splits = {"train": [([4, 5], [6])], "test": [([4, 5, 4], [6, 6, 6]), ([4], [5])]}
    buckets = make_buckets(splits)
    assert buckets["train"][0]["source"].tolist() == [[4, 5, 0]]
    assert buckets["train"][0]["target"].tolist() == [[6, 2, 0, 0]]
    assert buckets["test"][0]["source"].tolist() == [[4, 5, 4], [4, 0, 0]]
    assert buckets["test"][0]["target"].tolist() == [[6, 6, 6, 2], [5, 2, 0, 0]]


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=40),
    st.integers(1, 100),
)
def test_shapes_grow_and_hold_all(lengths, times):
    shapes = bucket_shapes(lengths * times)
    assert shapes == sorted(set(shapes), key=lambda shape: (sum(shape), shape))
    assert 1 <= len(shapes) <= 6
    assert all(any(s <= source and t <= target for source, target in shapes) for s, t in lengths)


def test_targets_of_other_lengths_are_parted_too():
    short, long = (([4] * 3, [5] * length) for length in (2, 30))
    buckets = make_buckets({"train": [short, long] * 600})["train"]
    assert [bucket["target"].shape for bucket in buckets] == [(600, 3), (600, 31)]
    assert [set(bucket["example"] % 2) for bucket in buckets] == [{0}, {1}]


def test_a_name_of_no_task_is_refused(unchecked):
    with pytest.raises(
        ValueError, match="name='nope' is not one of dates, reverse, grammar, bitext"
    ):
        Translation(name="nope")


def test_sizes_are_those_of_the_vocabularies(reverse):
    assert reverse.sizes == {"source_vocabulary": 30, "target_vocabulary": 30}
    assert reverse.source_tokenizer.vocabulary[4:] == [chr(97 + i) for i in range(26)]


def test_prepare_hands_on(reverse):
    bucket = reverse.load()["test"][0]
    prepared = reverse.prepare(bucket)
    assert set(prepared) == set(bucket)
    assert all(np.array_equal(prepared[name], bucket[name]) for name in bucket)


def test_the_seed_is_what_the_letters_follow(reverse):
    again, other = (Translation(name="reverse", seed=seed, **SIZES) for seed in (0, 1))
    assert again.examples("test") == reverse.examples("test")
    assert other.examples("test") != reverse.examples("test")


def test_text_to_translate_is_brought_to_the_form_of_training(reverse):
    assert reverse.normalize_source(" cafe\u0301\u202f\n!") == "café !"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": Path("a.tsv")}, r"path=.*a\.tsv.* an option of tsv, not of the task 'dates'"),
        ({"name": "reverse", "language": "de"}, "language='de' is an option of bitext, not of"),
        ({"name": "grammar", "level": "words"}, "level='words' is an option of bitext, tsv, tfds"),
        ({"name": "tsv"}, r"'tsv' needs a path; set it with --task\.path"),
        ({"name": "tfds"}, r"'tfds' needs a dataset; set it with --task\.dataset"),
        ({"seed": -1}, "seed=-1 must be at least 0"),
        ({"test": 0}, "test=0 must be at least 1"),
        ({"name": "bitext", "vocabulary_size": 4}, "vocabulary_size=4 must be at least 5"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Translation(**options)


def test_a_split_that_is_none_is_refused(reverse):
    with pytest.raises(ValueError, match="split='dev' is not one of train, validation, test"):
        reverse.examples("dev")
