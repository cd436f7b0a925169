"""Random changes to images that leave their class unchanged."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

__all__ = ["random_shift", "random_warp"]

# At strength 1: radians, shares of the distance from the middle, and pixels.
_ROTATION, _ZOOM, _SHEAR, _BEND = np.pi / 18, 0.1, 0.1, 0.8
_BENDS = 4
_FARTHEST = 5


def random_shift(
    images: Shaped[Array, "n height width"], rng: PRNGKeyArray, shift: int
) -> Shaped[Array, "n height width"]:
    """Shift each image by its own random whole number of pixels, and fill with zeros.

    Each is cut out of a padded copy at a random corner. In a scanned step on the CPU this took
    about 0.3 ms for 128 images of 28×28 bytes; indexing row by row took 0.4 ms, and a product with
    two shift matrices 0.6 ms.

    Args:
        images: Images of any number type.
        rng: The random key for the shifts.
        shift: The largest shift in each direction, in pixels.

    Returns:
        The shifted images.

    Example:
        >>> image = jnp.zeros((1, 5, 5), jnp.uint8).at[0, 2, 2].set(7)
        >>> int(random_shift(image, jax.random.key(0), shift=2).sum())
        7
    """
    count, height, width = images.shape
    corners = jax.random.randint(rng, (count, 2), 0, 2 * shift + 1)
    padded = jnp.pad(images, ((0, 0), (shift, shift), (shift, shift)))

    def cut(image: Array, corner: Array) -> Array:
        return jax.lax.dynamic_slice(image, corner, (height, width))

    return jax.vmap(cut)(padded, corners)


def random_warp(
    images: Float[Array, "n height width"], rng: PRNGKeyArray, strength: float
) -> Float[Array, "n height width"]:
    """Rotate, scale, shear and bend each image at random, and fill with zeros.

    Pixels are moved along the rows and then along the columns, each time by linear interpolation
    as a sum over whole shifts, which needs no gather: on a CPU XLA gathers slowly.

    Args:
        images: The images.
        rng: The random key.
        strength: With 1, an image is rotated by up to 10 degrees, scaled and sheared by up to 10
            percent, and bent by smooth displacements with a standard deviation of 0.8 pixels, given
            at 4×4 places. No pixel moves by more than 5 in a direction.

    Returns:
        The warped images.

    Example:
        >>> images = jnp.ones((2, 28, 28))
        >>> random_warp(images, jax.random.key(0), strength=1.0).shape
        (2, 28, 28)

    References:
        Simard, Steinkraus and Platt, "Best Practices for Convolutional Neural Networks Applied to
        Visual Document Analysis", 2003.
    """
    count, height, width = images.shape
    for_lines, for_bends = jax.random.split(rng)
    most = strength * jnp.array([[_ROTATION, _SHEAR, _ZOOM, _ZOOM]])
    drawn = most * jax.random.uniform(for_lines, (count, 4), minval=-1, maxval=1)
    rotation, shear, wider, higher = jnp.split(drawn[..., None], 4, axis=1)
    rows, columns = (jnp.arange(side) - (side - 1) / 2 for side in (height, width))
    rows, columns = rows[None, :, None], columns[None, None, :]
    bends = strength * _BEND * jax.random.normal(for_bends, (2, count, _BENDS, _BENDS))
    across, down = jax.image.resize(bends, (2, count, height, width), "cubic")
    across += wider * columns + (shear - rotation) * rows
    down += higher * rows + rotation * columns
    # Without the barriers XLA computes a pixel anew for each of its uses, seven times as slowly.
    images, across, down = jax.lax.optimization_barrier((images, across, down))
    images = jax.lax.optimization_barrier(_displaced(images, across, axis=2))
    return jax.lax.optimization_barrier(_displaced(images, down, axis=1))


def _displaced(
    images: Float[Array, "n height width"], by: Float[Array, "n height width"], axis: int
) -> Float[Array, "n height width"]:
    """Return for each pixel the value that lies `by` pixels farther along an axis."""
    side = images.shape[axis]
    padding = [(0, 0)] * 3
    padding[axis] = (_FARTHEST, _FARTHEST)
    padded = jnp.pad(images, padding)
    by = jnp.clip(by, -_FARTHEST, _FARTHEST)
    moved = jnp.zeros_like(images)
    for start in range(2 * _FARTHEST + 1):
        share = jnp.maximum(0, 1 - jnp.abs(by - (start - _FARTHEST)))
        moved += share * jax.lax.slice_in_dim(padded, start, start + side, axis=axis)
    return moved
