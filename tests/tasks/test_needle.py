import jax
import numpy as np
import pytest

from attn_jax.tasks import Needle

TASK = Needle(
    length=53,
    short_length=19,
    questions=5,
    num_names=11,
    num_values=7,
    long_examples=3,
    short_examples=13,
    validation=2,
    test=17,
)


def test_there_are_short_and_long_ones_to_learn_from_and_long_ones_to_judge_by():
    shapes = {s: [b["name"].shape for b in buckets] for s, buckets in TASK.load().items()}
    assert shapes == {"train": [(13, 19), (3, 53)], "validation": [(2, 53)], "test": [(17, 53)]}


@pytest.mark.parametrize(("split", "bucket"), [("train", 0), ("train", 1), ("test", 0)])
def test_each_question_has_one_card_which_holds_the_answer(split, bucket):
    arrays = TASK.load()[split][bucket]
    for name, value, needle, label in zip(*(arrays[n] for n in arrays), strict=True):
        asked = list(name[-5:])
        assert len(set(asked)) == 5
        assert list(value[-5:]) == [7] * 5
        for question in range(5):
            cards = [at for at in range(len(name) - 5) if name[at] == asked[question]]
            assert cards == [needle[question]]
            assert value[cards[0]] == label[question]
        assert name.min() >= 0
        assert name.max() < 11
        assert value[:-5].max() < 7


def test_names_values_and_places_are_spread_evenly():
    arrays = Needle(length=53, short_length=19, questions=5, num_names=11, short_examples=4000)
    train = arrays.load()["train"][0]
    for drawn, sides in ((train["needle"], 14), (train["label"], 10), (train["name"][:, -5:], 11)):
        expected = drawn.size / sides
        counts = np.bincount(drawn.reshape(-1), minlength=sides)
        assert len(counts) == sides
        # Six standard deviations of a count.
        assert np.abs(counts - expected).max() < 6 * np.sqrt(expected)


def test_splits_and_seeds_differ_and_are_the_same_each_time():
    again, other = TASK.load(), Needle(**{**vars(TASK), "seed": 1}).load()
    sequences = [
        tuple(row)
        for splits in (TASK.load(), other)
        for split in splits
        for row in np.stack([splits[split][-1]["name"], splits[split][-1]["value"]], -1)
        .reshape(-1, 106)
        .tolist()
    ]
    assert len(set(sequences)) == len(sequences) == 2 * (3 + 2 + 17)
    for split, buckets in TASK.load().items():
        for bucket, same in zip(buckets, again[split], strict=True):
            for name, array in bucket.items():
                np.testing.assert_array_equal(array, same[name])


def test_a_batch_is_passed_on_and_in_training_its_names_are_exchanged():
    bucket = TASK.load()["test"][0]
    prepared, trained = TASK.prepare(bucket), TASK.prepare(bucket, jax.random.key(0))
    for name, array in bucket.items():
        np.testing.assert_array_equal(prepared[name], array)
        assert np.array_equal(trained[name], array) == (name != "name")
    exchanged = set(zip(bucket["name"].flat, np.asarray(trained["name"]).flat, strict=True))
    assert len(exchanged) == len({new for _, new in exchanged}) == 11


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"questions": 0}, "questions=0 must be at least 1"),
        ({"test": 0}, "test=0 must be at least 1"),
        ({"seed": -1}, "seed=-1 must be at least 0"),
        ({"num_values": 1}, "num_values=1 must be at least 2"),
        ({"length": 32}, "length=32 must be more than twice questions=16"),
        ({"short_length": 20}, "short_length=20 must be more than twice questions=16"),
        ({"num_names": 16}, "num_names=16 must be more than questions=16: the other cards need"),
    ],
)
def test_refuses_settings_that_make_no_haystack(settings, said):
    with pytest.raises(ValueError, match=said):
        Needle(**settings)
