import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from attn_jax.tasks.augment import _displaced, random_shift, random_warp

HEIGHT, WIDTH = 5, 7


def all_shifts(image: np.ndarray, shift: int) -> dict[bytes, tuple[int, int]]:
    """Every move of an image, done by loops, and the move it is."""
    moved = {}
    for down in range(-shift, shift + 1):
        for across in range(-shift, shift + 1):
            result = np.zeros_like(image)
            for row in range(HEIGHT):
                for column in range(WIDTH):
                    if 0 <= row + down < HEIGHT and 0 <= column + across < WIDTH:
                        result[row + down, column + across] = image[row, column]
            moved[result.tobytes()] = (down, across)
    return moved


def draw(count: int, shift: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    images = np.random.default_rng(3).integers(1, 256, (count, HEIGHT, WIDTH), np.uint8)
    return images, np.asarray(random_shift(jnp.asarray(images), jax.random.key(seed), shift))


@pytest.mark.parametrize("shift", [1, 2])
def test_every_image_is_moved_by_a_whole_shift_and_every_shift_occurs(shift):
    images, moved = draw(307, shift)
    moves = [all_shifts(a, shift)[b.tobytes()] for a, b in zip(images, moved, strict=True)]
    assert len(set(moves)) == (2 * shift + 1) ** 2


def test_the_same_rng_moves_alike_and_another_otherwise():
    _, first = draw(11, 2)
    _, again = draw(11, 2)
    _, other = draw(11, 2, seed=1)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_no_shift_changes_nothing():
    images, moved = draw(3, 0)
    np.testing.assert_array_equal(images, moved)


def test_a_sharded_batch_is_moved_like_a_whole_one():
    images = jnp.asarray(np.random.default_rng(3).integers(0, 256, (12, HEIGHT, WIDTH), np.uint8))
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    move = jax.jit(random_shift, static_argnums=2)
    sharded = move(jax.device_put(images, sharding), jax.random.key(5), 2)
    np.testing.assert_array_equal(sharded, move(images, jax.random.key(5), 2))


def coordinates(strength, seed=0, count=97):
    """From where each pixel is taken, `(count, 2, 28, 28)`, read off warped ramps."""
    places = np.stack(np.mgrid[:28, :28]).astype(np.float32)
    warp = jax.jit(random_warp, static_argnums=2)
    taken = [
        # Times 1, so that pixels from beyond the border can be told, which are 0.
        warp(jnp.tile(ramp, (count, 1, 1)), jax.random.key(seed), strength)
        for ramp in (places[0], places[1], np.ones_like(places[0]))
    ]
    rows, columns, inside = (np.asarray(each) for each in taken)
    return np.stack([rows, columns], 1), inside > 1 - 1e-5


def test_pixels_are_displaced_as_scipy_interpolates():
    rng = np.random.default_rng(5)
    image = rng.random((3, 9, 8), np.float32)
    by = rng.uniform(-5, 5, image.shape).astype(np.float32)
    places = np.stack(np.mgrid[:3, :9, :8]).astype(np.float32)
    for axis in (1, 2):
        at = places.copy()
        at[axis] += by
        expected = scipy.ndimage.map_coordinates(image, at, order=1, mode="grid-constant")
        np.testing.assert_allclose(
            _displaced(jnp.asarray(image), jnp.asarray(by), axis), expected, atol=1e-6
        )


def test_warps_have_the_stated_size():
    taken, inside = coordinates(1.0)
    places = np.stack(np.mgrid[:28, :28]) - 13.5
    slopes, rests = [], []
    for where, known in zip(taken - 13.5, inside, strict=True):
        known &= (np.abs(places) < 8).all(0)
        design = np.column_stack([*places[:, known], np.ones(known.sum())])
        for axis in (0, 1):
            fit, *_ = np.linalg.lstsq(design, where[axis][known])
            slopes.append(fit[:2])
            rests.append(where[axis][known] - design @ fit)
    down, across = np.array(slopes[::2]), np.array(slopes[1::2])
    # Scaling by 10 percent; the bends, of which a part is linear, add a little.
    for scale in (down[:, 0], across[:, 1]):
        assert abs(scale.mean() - 1) < 0.03
        assert 0.05 < scale.std() < 0.12
    # Rotation by 10 degrees on both axes, and shear on one, which turn against each other.
    assert 0.08 < down[:, 1].std() < 0.16
    assert 0.08 < across[:, 0].std() < 0.2
    assert np.corrcoef(down[:, 1], across[:, 0])[0, 1] < -0.3
    assert 0.2 < np.concatenate(rests).std() < 0.8


def test_a_warp_of_no_strength_changes_nothing():
    images = jnp.asarray(np.random.default_rng(3).random((5, 28, 28), np.float32))
    np.testing.assert_array_equal(random_warp(images, jax.random.key(0), 0.0), images)


def test_each_image_is_warped_in_its_own_way():
    taken, _ = coordinates(1.0, count=3)
    assert np.abs(taken[0] - taken[1]).max() > 0.5
    again, _ = coordinates(1.0, count=3)
    np.testing.assert_array_equal(taken, again)
    other, _ = coordinates(1.0, seed=1, count=3)
    assert np.abs(taken - other).max() > 0.5
