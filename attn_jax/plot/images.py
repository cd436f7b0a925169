"""Images of any number type, on the scale from black, 0, to white, 1."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attn_jax.plot.arrays import as_array

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def read_image(image: Any, name: str = "image") -> NDArray[np.float64]:
    """Return an image with values from 0 (black) to 1 (white).

    Integers from 0 to 255 and floats from 0 to 1 keep their scale, and booleans are black or white.
    All other images, such as 16-bit or standardized ones, are stretched from their minimum, black,
    to their maximum, white.

    Args:
        image: `(height, width)`, `(height, width, 1)` or `(height, width, 3)`.
        name: Name of the argument, for the error.

    Returns:
        Floats of the same shape.

    Raises:
        ValueError: If the shape is another, or a value is not a finite number.

    Example:
        >>> import numpy as np
        >>> from attn_jax.plot.images import read_image
        >>> read_image(np.array([[0, 500, 1000]], np.uint16)).tolist()
        [[0.0, 0.5, 1.0]]
    """
    array = as_array(image, name)
    _check_shape(array.shape, array.shape, name)
    return _on_unit_scale(array, name)


def read_images(images: Any) -> NDArray[np.float64]:
    """Return a batch of images, all on one scale, as `read_image` does.

    Args:
        images: `(n, height, width)` or `(n, height, width, 1 or 3)`.

    Returns:
        Floats of the same shape.

    Raises:
        ValueError: If the shape is another, or a value is not a finite number.
    """
    array = as_array(images, "images")
    _check_shape(array.shape[1:], array.shape, "images")
    return _on_unit_scale(array, "images")


def shown_image(image: Any) -> NDArray[np.float64]:
    """Return an image as a figure shows it: gray, or in its colors if it has any.

    Args:
        image: As in `read_image`.

    Returns:
        `(height, width)`, or `(height, width, 3)` if the channels differ.

    Raises:
        ValueError: As in `read_image`.
    """
    array = read_image(image)
    if array.ndim == 3 and array.shape[-1] == 3 and np.ptp(array, axis=-1).any():
        return array
    return gray_image(image)


def gray_image(image: Any) -> NDArray[np.float64]:
    """Return an image as gray values from 0 (black) to 1 (white).

    Args:
        image: As in `read_image`.

    Returns:
        `(height, width)` floats in [0, 1]: the luminance of a color image.

    Raises:
        ValueError: As in `read_image`.
    """
    array = read_image(image)
    if array.ndim == 2:
        return array
    return array[..., 0] if array.shape[-1] == 1 else array @ _LUMINANCE


def _check_shape(shape: tuple[int, ...], whole: tuple[int, ...], name: str) -> None:
    if 0 not in whole and (len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3))):
        return
    way_out = ""
    if len(shape) == 3 and shape[0] in (1, 3):
        way_out = f"; np.moveaxis({name}, {len(whole) - 3}, -1) puts channels last"
    if len(shape) == 3 and shape[-1] in (2, 4):
        way_out = f"; {name}[..., :{shape[-1] - 1}] leaves out the alpha channel"
    before = "n, " if name == "images" and len(whole) > len(shape) else ""
    raise ValueError(
        f"{name} has shape {whole}; ({before}height, width) or ({before}height, width, 1 or 3) "
        f"is needed{way_out}."
    )


def _on_unit_scale(array: NDArray, name: str) -> NDArray[np.float64]:
    values = array.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds values that are not finite; replace them, as by zeros.")
    low, high = values.min(), values.max()
    if array.dtype.kind in "iu" and low >= 0 and high <= 255:
        return values / 255
    if low >= 0 and high <= 1:
        return values
    return (values - low) / (high - low or 1)
