import jax
import numpy as np
import pytest

from attn_jax.hooks import capture, intervene
from attn_jax.models import Detector, PatchStem
from attn_jax.models.detector import corners, grid_positions

MODEL = Detector(
    stem=PatchStem((12,), (5,), (4,)), num_queries=7, num_layers=2, num_heads=3, num_classes=5
)
IMAGE = jax.random.uniform(jax.random.key(0), (2, 12, 20))
CROSS = "layers.*.cross_attention.weights"


@pytest.fixture(scope="module")
def variables(draw_variables):
    return draw_variables(MODEL, IMAGE)


def test_queries_attend_to_the_grid(variables):
    found, weights = jax.jit(capture(MODEL.apply, CROSS))(variables, IMAGE)
    assert MODEL.grid((12, 20)) == (3, 5)
    assert found.logits.shape == (2, 2, 7, 6)
    assert list(weights) == [f"layers.{i}.cross_attention.weights" for i in range(2)]
    for each in weights.values():
        assert each.shape == (2, 3, 7, 15)
        np.testing.assert_allclose(each.sum(-1), 1, atol=1e-5)
    start, end = found.box[..., :2], found.box[..., 2:]
    assert (start < end).all()


def test_an_earlier_layer_does_not_see_the_later_one(variables):
    apply = jax.jit(MODEL.apply)
    blind = jax.jit(intervene(MODEL.apply, {"layers.1.*.weights": lambda w, site: 0 * w}))
    (one, _), (other, _) = apply(variables, IMAGE), blind(variables, IMAGE)
    np.testing.assert_allclose(one[0], other[0], atol=1e-6)
    assert np.abs(one[1] - other[1]).max() > 1e-3


def test_positions_differ_by_row_and_by_column():
    positions = np.asarray(grid_positions(3, 5, 8)).reshape(3, 5, 8)
    np.testing.assert_array_equal(positions[:, :1, :4], positions[:, 4:, :4])
    np.testing.assert_array_equal(positions[:1, :, 4:], positions[2:, :, 4:])
    assert len(np.unique(positions.reshape(15, 8), axis=0)) == 15


def test_corners_by_hand():
    box = corners(np.array([0.4, 0.6, 0.2, 0.1], np.float32) + jax.numpy.zeros(4))
    np.testing.assert_allclose(box, [0.3, 0.55, 0.5, 0.65], atol=1e-6)


def test_features_without_a_position():
    with pytest.raises(ValueError, match="the stem gives 6 features; give it a multiple of 4"):
        grid_positions(3, 5, 6)


def test_the_number_of_classes_must_be_known():
    with pytest.raises(ValueError, match="num_classes=None must be a number"):
        Detector().init(jax.random.key(0), IMAGE)
