"""From pictures to the arrays that a model of images takes."""

import dataclasses
import os
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax.pretrained.errors import PretrainedError

_HALF = (0.5, 0.5, 0.5)
_BILINEAR = 2


@dataclasses.dataclass(frozen=True)
class ImageReader:
    """Reads images as the `preprocessor_config.json` of a checkpoint asks.

    They are resized, cut in the middle, brought to the scale from zero to one and standardized,
    each where it is asked for.

    Attributes:
        size: The height and width to resize to, or the length of the shorter edge; None for none.
        crop: The height and width to cut out of the middle, or None.
        resample: The number of Pillow's filter for resizing.
        scale: What pixels, from 0 to 255, are multiplied by.
        mean: What is subtracted from each channel.
        std: What it is divided by.
    """

    size: tuple[int, int] | int | None
    crop: tuple[int, int] | None = None
    resample: int = _BILINEAR
    scale: float = 1 / 255
    mean: tuple[float, float, float] = _HALF
    std: tuple[float, float, float] = _HALF

    @classmethod
    def from_preprocessing(cls, settings: dict[str, Any], is_square: bool) -> "ImageReader":
        """Return the reader that a `preprocessor_config.json` describes.

        Args:
            settings: Its content.
            is_square: Whether a size that is a single number is that of both edges, and not of the
                shorter one.

        Raises:
            PretrainedError: If there is none, or it names sizes that are not known here.
        """
        if not settings:
            raise PretrainedError(
                "the checkpoint has no preprocessor_config.json, which says how its images are "
                "prepared; fetch the checkpoint again."
            )
        size, crop = settings.get("size", 224), settings.get("crop_size", 224)
        resizes, crops = settings.get("do_resize", True), settings.get("do_center_crop", False)
        standardizes = settings.get("do_normalize", True)
        return cls(
            _size("size", size, is_square) if resizes else None,
            _edges("crop_size", crop) if crops else None,
            settings.get("resample", _BILINEAR),
            settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 1.0,
            tuple(settings.get("image_mean", _HALF)) if standardizes else (0.0, 0.0, 0.0),
            tuple(settings.get("image_std", _HALF)) if standardizes else (1.0, 1.0, 1.0),
        )

    def encode(self, images: Any) -> dict[str, Array]:
        """Return what the model takes, for a list of images.

        Args:
            images: A list of paths of files, images of Pillow, or arrays `(height, width, 3)`, of
                bytes or of floats from zero to one.

        Returns:
            `images`, `(batch, height, width, 3)`, standardized.

        Raises:
            PretrainedError: If an image cannot be read, or the images come out at different sizes.
        """
        shown = self.shown(images)
        sizes = {image.shape[:2] for image in shown}
        if len(sizes) > 1:
            listed = ", ".join(f"{height} × {width}" for height, width in sorted(sizes))
            raise PretrainedError(
                f"the images come out at different sizes, {listed} pixels; encode them one by one."
            )
        pixels = np.stack(shown).astype(np.float32) * np.float32(self.scale)
        mean, std = (
            np.broadcast_to(np.asarray(each, np.float32), pixels.shape)
            for each in (self.mean, self.std)
        )
        return {"images": jnp.asarray((pixels - mean) / std)}

    def shown(self, images: Any) -> list[np.ndarray]:
        """Return the images as the model sees them, `(height, width, 3)` bytes.

        They are resized and cut as by `encode`, whose arguments and errors these are, but not
        standardized.
        """
        return [
            self._cut(_resized(_opened(x, i), self.size, self.resample), i)
            for i, x in enumerate(_listed(images))
        ]

    def _cut(self, image: Any, number: int) -> np.ndarray:
        pixels = np.asarray(image)
        if self.crop is None:
            return pixels
        (height, width), (rows, columns) = pixels.shape[:2], self.crop
        if rows > height or columns > width:
            raise PretrainedError(
                f"image {number} is {height} × {width} pixels after resizing, and the checkpoint "
                f"cuts out {rows} × {columns}; enlarge the image."
            )
        top, left = (height - rows) // 2, (width - columns) // 2
        return pixels[top : top + rows, left : left + columns]


def _listed(images: Any) -> Any:
    is_picture = hasattr(images, "convert") or getattr(images, "ndim", 4) < 4
    if is_picture or isinstance(images, str | os.PathLike):
        raise PretrainedError("encode takes a list of images, such as the paths of files, not one.")
    if len(images) == 0:
        raise PretrainedError("encode takes a list of images, and this one is empty.")
    return images


def _size(name: str, size: Any, is_square: bool) -> tuple[int, int] | int:
    if isinstance(size, int):
        return (size, size) if is_square else size
    if isinstance(size, dict) and set(size) == {"shortest_edge"}:
        return int(size["shortest_edge"])
    return _edges(name, size)


def _edges(name: str, size: Any) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    if isinstance(size, dict) and set(size) == {"height", "width"}:
        return int(size["height"]), int(size["width"])
    raise PretrainedError(
        f"preprocessor_config.json has {name} = {size!r}; known are a number, height with width, "
        "and, for size, shortest_edge."
    )


def _pillow() -> Any:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise PretrainedError(
            "reading images needs the package pillow: pip install 'attn-jax[hub]'."
        ) from error
    return Image, ImageOps


def _opened(image: Any, number: int) -> Any:
    """Return an image of Pillow in red, green and blue, turned as its camera was held."""
    pillow, operations = _pillow()
    if isinstance(image, str | os.PathLike):
        try:
            with pillow.open(image) as opened:
                return operations.exif_transpose(opened).convert("RGB")
        except (OSError, SyntaxError, ValueError, pillow.DecompressionBombError) as error:
            reason = " ".join(str(error).split()) or repr(error)
            raise PretrainedError(f"image {number}, {image}, cannot be read: {reason}.") from error
    if isinstance(image, pillow.Image):
        return image.convert("RGB")
    return pillow.fromarray(_bytes(np.asarray(image), number))


def _bytes(pixels: np.ndarray, number: int) -> np.ndarray:
    if pixels.ndim != 3 or pixels.shape[-1] != 3 or 0 in pixels.shape:
        raise PretrainedError(
            f"image {number} is an array of shape {list(pixels.shape)}; (height, width, 3) is "
            "needed."
        )
    if pixels.dtype == np.uint8:
        return pixels
    is_float = np.issubdtype(pixels.dtype, np.floating)
    if not is_float or not (pixels.min() >= 0 and pixels.max() <= 1):
        raise PretrainedError(
            f"image {number} has {pixels.dtype} from {pixels.min():g} to {pixels.max():g}; bytes "
            "or floats from 0 to 1 are needed."
        )
    return np.rint(pixels * 255).astype(np.uint8)


def _resized(image: Any, size: tuple[int, int] | int | None, resample: int) -> Any:
    if size is None:
        return image
    if isinstance(size, int):
        shorter = min(image.size)
        width, height = (int(size * edge / shorter) for edge in image.size)
    else:
        height, width = size
    return image.resize((width, height), resample)
