import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import plot
from attn_jax.plot.checks import check_grid, weights_array
from attn_jax.plot.images import gray_image, read_images
from attn_jax.plot.viewer.checks import check_image

UNIFORM = np.full((2, 5), 0.2)


def changed(row, column, value):
    weights = UNIFORM.copy()
    weights[row, column] = value
    return weights


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (changed(1, 3, np.nan), r"weights\[1, 3\] = nan is not finite"),
        (changed(0, 2, np.inf), r"weights\[0, 2\] = inf is not finite"),
        (changed(1, 4, -0.25), r"weights\[1, 4\] = -0\.25 is negative.*not the scores"),
        (UNIFORM - 1, r"weights\[0, 0\] = -0\.8 is negative, and 9 more"),
        (changed(1, 0, 0.7), r"weights\[1, :\] sums to 1\.5, not 1"),
        (UNIFORM[0], r"shape \(5,\); \(queries, keys\) is needed, rank 2"),
        (UNIFORM[None], r"shape \(1, 2, 5\)"),
        (np.zeros((0, 5)), r"shape \(0, 5\) is empty"),
    ],
)
def test_weights_that_are_none_are_named(weights, message):
    with pytest.raises(ValueError, match=message):
        weights_array(weights, ("queries", "keys"))


def test_a_query_that_attends_to_nothing_is_allowed():
    weights = changed(0, slice(None), 0)
    np.testing.assert_array_equal(weights_array(weights, ("q", "k")), weights)


def test_unnormalized_values_are_drawn_when_asked_for():
    assert weights_array(3 * UNIFORM, ("q", "k"), whole=False).sum() == pytest.approx(6)


def test_bfloat16_rows_pass():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(197), 7).astype(np.float32)
    # bfloat16 keeps the first 16 bits of a float32.
    short = (weights.view(np.uint32) & 0xFFFF0000).view(np.float32)
    assert weights_array(short, ("q", "k")).shape == (7, 197)


@pytest.mark.parametrize(
    ("tokens", "grid", "message"),
    [
        (50, (7, 7), r"grid=\(7, 7\) has 49 cells, but there are 50 weights"),
        (30, (5, 6), r"grid=\(5, 6\) does not divide an image of 28 x 21 pixels"),
        (0, (0, 3), r"grid=\(0, 3\)"),
    ],
)
def test_grids_that_do_not_fit_are_refused(tokens, grid, message):
    with pytest.raises(ValueError, match=message):
        check_grid(tokens, grid, (28, 21))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.array([[0, 255]], np.uint8), [[0, 1]]),
        (np.array([[0.25, 0.5]]), [[0.25, 0.5]]),
        (np.array([[-1.0, 1.0]]), [[0, 1]]),
        (np.full((1, 2, 1), 51, np.uint8), [[0.2, 0.2]]),
        (np.array([[[255, 255, 255], [0, 255, 0]]], np.uint8), [[1, 0.7152]]),
        (np.full((1, 2), 3.0), [[0, 0]]),
    ],
)
def test_images_become_gray(image, expected):
    np.testing.assert_allclose(gray_image(image), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(5,), (5, 7, 2), (2, 5, 7, 3), (0, 7)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(ValueError, match="image has shape"):
        gray_image(np.zeros(shape))


RAMP = np.linspace(0, 1, 16)


@pytest.mark.parametrize(
    "image",
    [
        np.round(RAMP * 255).astype(np.uint8),
        np.round(RAMP * 255).astype(np.int64),
        np.round(RAMP * 1020).astype(np.uint16),
        np.round(RAMP * 65535).astype(np.uint16),
        np.round(RAMP * 255 - 128).astype(np.int8),
        np.round(RAMP * 2**40).astype(np.int64),
        RAMP,
        RAMP.astype(np.float16),
        jnp.asarray(RAMP, jnp.bfloat16),
        RAMP * 255,
        (RAMP - 0.5) / 0.25,
    ],
)
def test_a_ramp_of_any_type_is_shown_as_one(image):
    square = np.repeat(np.asarray(image)[None], 16, 0)
    colors = np.repeat(square[..., None], 3, -1)
    np.testing.assert_allclose(gray_image(square)[5], RAMP, atol=5e-3)
    np.testing.assert_allclose(gray_image(colors)[5], RAMP, atol=5e-3)
    shown, _ = check_image(colors, (4, 4), 0, [16])
    np.testing.assert_allclose(shown[5, :, 2] / 255, RAMP, atol=7e-3)


def test_booleans_are_black_and_white():
    assert gray_image([[True, False]]).tolist() == [[1, 0]]


def test_a_batch_is_on_one_scale():
    whole = np.round(RAMP * 1000).astype(np.uint16)[None]
    np.testing.assert_allclose(
        read_images(np.stack([whole, whole // 4]))[1], RAMP[None] / 4, atol=1e-3
    )


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 5, 7)), r"np\.moveaxis\(image, 0, -1\) puts channels last"),
        (np.zeros((5, 7, 4)), r"image\[\.\.\., :3\] leaves out the alpha channel"),
        (np.full((5, 7), np.nan), "not finite"),
        (np.full((5, 7), 1j), "not an array of numbers"),
    ],
)
def test_images_that_are_not_clear_are_refused_with_the_way_out(image, message):
    with pytest.raises(ValueError, match=message):
        gray_image(image)


def test_channels_first_are_refused_in_batches():
    weights = np.full((2, 4), 0.25)
    for draw in (plot.image_grid, lambda i, w: plot.image_heads(i, w[:, None])):
        with pytest.raises(ValueError, match=r"np\.moveaxis\(images, 1, -1\)"):
            draw(np.zeros((2, 3, 8, 8)), weights)


def test_large_images_are_shrunk_for_a_page():
    image = np.repeat(np.repeat(np.arange(4.0).reshape(2, 2) / 3, 1024, 0), 1024, 1)
    shown, grid = check_image(image, (2, 2), 0, [4])
    assert shown.shape == (1024, 1024, 3)
    assert grid == (2, 2)
    assert shown[::1023, ::1023, 0].tolist() == [[0, 85], [170, 255]]
