import jax
import numpy as np
import pytest

from attn_jax.tasks import DetectDigits

TASK = DetectDigits(train=31, validation=7, test=13, scale=1.0, max_iou=0.0)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_boxes_are_where_the_digits_were_drawn(block_digits, split):
    (bucket,) = TASK.load()[split]
    assert len(bucket["image"]) == getattr(TASK, split)
    for image, box, label in zip(*bucket.values(), strict=True):
        count = (label >= 0).sum()
        assert 1 <= count <= 5
        assert (label[count:] == -1).all()
        assert (box[count:] == 0).all()
        drawn = np.zeros_like(image)
        for (top, left, bottom, right), digit in zip(box[:count].astype(int), label, strict=False):
            assert (bottom - top, right - left) == (10 + digit, 8)
            drawn[top:bottom, left:right] = 200 + digit
        np.testing.assert_array_equal(image, drawn)


def test_sizes_vary_and_digits_overlap(block_digits):
    task = DetectDigits(train=300, validation=1, test=1)
    bucket = task.load()["train"][0]
    width = (bucket["box"][..., 3] - bucket["box"][..., 1])[bucket["label"] >= 0]
    assert width.min() == 6  # 8 / 1.3
    assert width.max() == 10  # 8 · 1.3
    # Digits without overlap would show all of their area.
    areas = (bucket["box"][..., 2:] - bucket["box"][..., :2]).prod(-1).sum(-1)
    assert (areas > (bucket["image"] > 0).sum((1, 2))).any()


def test_a_shift_moves_digits_with_their_boxes(block_digits):
    batch = TASK.load()["train"][0]
    plain, moved = TASK.prepare(batch), TASK.prepare(batch, jax.random.key(1))
    np.testing.assert_allclose(plain["box"] * 64, batch["box"], atol=1e-4)
    assert (moved["box"] != plain["box"]).any((1, 2)).mean() > 0.7
    for image, box, label in zip(
        np.asarray(moved["image"]), np.asarray(moved["box"]), batch["label"], strict=True
    ):
        drawn = np.zeros((64, 64))
        exists = label >= 0
        corners = np.rint(box[exists] * 64).astype(int)
        for (top, left, bottom, right), digit in zip(corners, label[exists], strict=True):
            drawn[top:bottom, left:right] = (200 + digit) / 255
        np.testing.assert_allclose(image, drawn, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"most": 0}, "most=0 must be at least 1"),
        ({"max_iou": 1.1}, "max_iou=1.1 must be from 0 to 1"),
        ({"scale": 0.9}, "scale=0.9 must be from 1 to 2"),
        ({"side": 26}, "side=26 must be at least 27, the largest digit"),
    ],
)
def test_settings_that_no_canvas_can_have(settings, message):
    with pytest.raises(ValueError, match=message):
        DetectDigits(**settings)
