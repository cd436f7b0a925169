import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.tasks.augment import random_shift

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
