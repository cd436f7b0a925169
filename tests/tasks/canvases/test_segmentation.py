import jax
import numpy as np
import pytest

from attn_jax.tasks import SegmentDigits

TASK = SegmentDigits(train=23, validation=7, test=11, clutter=5)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_parts_are_what_was_drawn(block_digits, split):
    (bucket,) = TASK.load()[split]
    image, part = bucket["image"], bucket["part"]
    assert image.shape == part.shape == (getattr(TASK, split), 64, 64)
    # A block is all stroke, so what is black belongs to nothing and the gray says which digit.
    np.testing.assert_array_equal(part == 0, image == 0)
    assert (part[image == 203] == 1).all()
    assert (image[part == 1] >= 203).all()
    assert ((part == 2).any((1, 2)) | (part == 1).any((1, 2))).all()
    # A digit is at least 80 pixels, and nearly whole.
    for one in part == 1:
        assert one.sum() == 0 or one.sum() >= 8 * 13


def test_clutter_is_no_piece_of_the_target(block_digits):
    bucket = SegmentDigits(train=5, validation=1, test=40, clutter=9).load()["test"][0]
    assert (bucket["part"] == 3).any()
    assert not (bucket["image"][bucket["part"] == 3] == 203).any()


def test_some_canvases_lack_the_target(block_digits):
    bucket = SegmentDigits(train=400, validation=1, test=1, clutter=0).load()["train"][0]
    lacking = 1 - (bucket["part"] == 1).any((1, 2)).mean()
    # Three to five digits, each another with probability 0.6.
    assert lacking == pytest.approx((0.6**3 + 0.6**4 + 0.6**5) / 3, abs=0.04)


def test_an_image_and_its_parts_are_shifted_alike(block_digits):
    batch = TASK.load()["train"][0]
    plain, shifted = TASK.prepare(batch), TASK.prepare(batch, jax.random.key(0))
    np.testing.assert_allclose(plain["image"], batch["image"] / 255, atol=1e-6)
    np.testing.assert_array_equal(shifted["part"] == 0, shifted["image"] == 0)
    assert (shifted["part"] != plain["part"]).any()


def test_canvases_follow_from_the_seed(block_digits):
    one, same, other = (
        SegmentDigits(train=3, validation=1, test=1, seed=s).load()["train"][0]["image"]
        for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"digit": 10}, "digit=10 must be from 0 to 9"),
        ({"side": 39}, "side=39 must be at least 40"),
        ({"clutter": -1}, "clutter=-1 must be at least 0"),
        ({"shift": 64}, "shift=64 must be at least 0 and less than the side"),
    ],
)
def test_settings_that_no_canvas_can_have(settings, message):
    with pytest.raises(ValueError, match=message):
        SegmentDigits(**settings)
