"""A user's own folder of images and masks."""

from pathlib import Path

import numpy as np

__all__ = ["read_masks"]

_IMAGES = (".png", ".jpg", ".jpeg")
_FEWEST = 10


def read_masks(folder: Path, seed: int) -> dict[str, dict[str, np.ndarray]]:
    """Read the images and masks of a folder, and split them.

    Args:
        folder: Holds `images/`, with PNG or JPEG files, and `masks/`, with a black-and-white PNG of
            the same name for each.
        seed: The seed for the splits: a tenth for validation, a tenth for testing.

    Returns:
        For each split `image` and `part`, uint8 of shape (n, height, width); color images become
        gray, and `part` is 1 where the mask is white.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If there are too few images, a file is not readable, an image has no mask or a
            mask no image, sizes differ, or a mask has more than two levels.
    """
    images = _files(folder / "images", _IMAGES)
    masks = _files(folder / "masks", (".png",))
    _check_names(folder, images, masks)
    names = sorted(images)
    pairs = [(_gray(images[name]), _mask(masks[name], images[name])) for name in names]
    shape = pairs[0][0].shape
    for name, (image, mask) in zip(names, pairs, strict=True):
        _check_size(images[name], image, images[names[0]], shape)
        _check_size(masks[name], mask, images[name], image.shape)
    order = np.random.default_rng(seed).permutation(len(pairs))
    tenth = len(pairs) // 10
    splits = {
        "validation": order[:tenth],
        "test": order[tenth : 2 * tenth],
        "train": order[2 * tenth :],
    }
    image, part = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
    return {name: {"image": image[rows], "part": part[rows]} for name, rows in splits.items()}


def _files(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Return the files of a folder with one of these suffixes, by their names without it."""
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}; a folder of your own needs images/ and masks/."
        )
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            if path.stem in files:
                raise ValueError(
                    f"{files[path.stem]} and {path} have the same name; a mask belongs to one "
                    "image, so rename one of them."
                )
            files[path.stem] = path
    return files


def _check_names(folder: Path, images: dict[str, Path], masks: dict[str, Path]) -> None:
    for name in sorted(set(images) ^ set(masks)):
        if name in images:
            missing = f"{images[name]} has no mask: add {folder / 'masks' / name}.png"
        else:
            missing = f"{masks[name]} has no image: add {folder / 'images' / name}.png"
        raise ValueError(f"{missing}, or remove the file.")
    if len(images) < _FEWEST:
        raise ValueError(
            f"{folder} holds {len(images)} images with masks; at least {_FEWEST} are needed, of "
            "which a tenth are for validation and a tenth for testing."
        )


def _gray(path: Path) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L"))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{path} cannot be read as an image ({error}); save it again as PNG, or remove it."
        ) from error


def _mask(path: Path, image: Path) -> np.ndarray:
    levels = _gray(path)
    values = np.unique(levels)
    if not set(values.tolist()) <= {0, values.max()}:
        raise ValueError(
            f"{path} has {len(values)} gray levels, {values.min()} to {values.max()}; a mask is "
            f"black where {image.name} shows no object and white where it does: save it without "
            "anti-aliasing, as PNG."
        )
    return (levels > 0).astype(np.uint8)


def _check_size(path: Path, image: np.ndarray, first: Path, expected: tuple[int, ...]) -> None:
    if image.shape != expected:
        raise ValueError(
            f"{path} has {image.shape[0]} by {image.shape[1]} pixels and {first} {expected[0]} by "
            f"{expected[1]}; crop or resize the images and masks to one size."
        )
