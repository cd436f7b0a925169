import numpy as np
import pytest

from experiments.detection.average_precision import Boxes, average_precision


def boxes(*rows):
    """Rows of image, label, top, left, bottom, right and score."""
    table = np.array(rows, float).reshape(-1, 7)
    return Boxes(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:6], table[:, 6])


TRUTH = boxes((0, 3, 0, 0, 10, 10, 1), (0, 3, 20, 20, 30, 30, 1), (1, 3, 0, 0, 10, 10, 1))


def test_a_perfect_detector():
    assert average_precision(TRUTH, TRUTH) == 1


def test_precision_and_recall_by_hand():
    found = boxes(
        (0, 3, 0, 0, 10, 10, 0.9),  # right: recall 1/3, precision 1
        (1, 3, 40, 40, 50, 50, 0.8),  # wrong
        (0, 3, 0, 0, 10, 10, 0.7),  # wrong, since the box is claimed
        (0, 3, 20, 20, 30, 30, 0.6),  # right: recall 2/3, precision 2/4
        (1, 5, 0, 0, 10, 10, 0.5),  # of another class, which has no true box
    )
    # Recalls 0 to 0.33 (34 of them) have precision 1, 0.34 to 0.66 (33) have 1/2, the rest 0.
    expected = (34 + 33 / 2) / 101
    assert average_precision(found, TRUTH, thresholds=(0.5,)) == pytest.approx(expected)


def test_the_thresholds_are_cocos():
    # Of 10 · 10 pixels 10 · 7.6 are covered: right at the six thresholds up to 0.75.
    truth, found = boxes((0, 1, 0, 0, 10, 10, 1)), boxes((0, 1, 0, 0, 10, 7.6, 0.5))
    assert average_precision(found, truth) == pytest.approx(0.6)
    assert average_precision(found, truth, thresholds=(0.5,)) == 1


def test_the_best_overlap_is_claimed():
    truth = boxes((0, 1, 0, 0, 10, 10, 1), (0, 1, 0, 3, 10, 13, 1))
    found = boxes((0, 1, 0, 2.5, 10, 12.5, 0.9), (0, 1, 0, 0, 10, 10, 0.8))
    assert average_precision(found, truth, thresholds=(0.5,)) == 1


def test_the_mean_is_over_classes_with_true_boxes():
    truth = boxes((0, 1, 0, 0, 10, 10, 1), (0, 2, 20, 20, 30, 30, 1))
    found = boxes((0, 1, 0, 0, 10, 10, 0.9), (0, 7, 0, 0, 10, 10, 0.9))
    assert average_precision(found, truth) == 0.5


def test_areas_leave_out_other_boxes_and_what_claims_them():
    truth = boxes((0, 1, 0, 0, 10, 10, 1), (0, 1, 20, 20, 24, 24, 1))
    found = boxes(
        (0, 1, 0, 0, 10, 10, 0.9),  # claims the large box: ignored
        (0, 1, 40, 40, 50, 50, 0.8),  # claims none and is large: ignored
        (0, 1, 50, 50, 54, 54, 0.7),  # claims none and is small: wrong
        (0, 1, 20, 20, 24, 24, 0.6),  # right
    )
    value = average_precision(found, truth, thresholds=(0.5,), areas=(0.0, 50.0))
    assert value == pytest.approx(0.5)


def test_without_detections_and_without_truth():
    none = boxes()
    assert average_precision(none, TRUTH) == 0
    assert np.isnan(average_precision(TRUTH, none))
