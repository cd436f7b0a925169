import numpy as np
import pytest

from attn_jax.tasks.canvases import drawing


def test_places_overlap_by_no_more_than_asked():
    rng = np.random.default_rng(0)
    sizes = [(19, 11), (23, 13), (17, 17), (7, 29), (29, 5)]
    most = 0.0
    for _ in range(30):
        boxes = drawing.place(sizes, 64, 0.3, rng)
        covers = np.zeros((5, 64, 64), bool)
        for cover, (top, left, bottom, right), size in zip(covers, boxes, sizes, strict=True):
            assert (bottom - top, right - left) == size
            cover[top:bottom, left:right] = True
            assert cover.sum() == size[0] * size[1]
        for i in range(5):
            for j in range(i):
                # Counted pixel by pixel.
                iou = (covers[i] & covers[j]).sum() / (covers[i] | covers[j]).sum()
                most = max(most, iou)
    assert 0.15 < most <= 0.3


def test_no_room():
    with pytest.raises(ValueError, match=r"side=20 leaves no room for 3 digits .* at most 0.0"):
        drawing.place([(18, 18)] * 3, 20, 0.0, np.random.default_rng(0))


def test_a_linear_ramp_stays_one_when_resized():
    ramp = np.tile(np.arange(0, 200, 10, dtype=np.uint8), (6, 1))
    larger = drawing.resize(ramp, 2.0)
    assert larger.shape == (12, 40)
    # By hand: the centers of the new pixels lie at quarters between the old ones.
    assert larger[0, 1:5].tolist() == [2, 8, 12, 18]
