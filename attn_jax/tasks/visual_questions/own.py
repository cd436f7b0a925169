"""The reader of a file of questions about pictures."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from attn_jax.tasks.own_tables import lower_words, read_table, split_at_random
from attn_jax.tasks.translation.tokens import normalize
from attn_jax.tasks.visual_questions.picture import MOST_BOXES, Box, Picture, Question

__all__ = ["read_pictures"]

_BOXES = "boxes"


def read_pictures(
    path: Path, side: int, *, validation: int, test: int, seed: int
) -> dict[str, list[Picture]]:
    """Read a file of tab-separated columns `image`, `question`, `answer` and perhaps `boxes`.

    Args:
        path: The file, whose first line names the columns. An image is a PNG or JPEG file, named
            from the folder of this one; `boxes` holds the `top,left,bottom,right` in pixels of
            what decides the answer, two boxes at most, separated by a blank.
        side: The side to which each picture is resized, in pixels.
        validation: The number of validation pictures, at most a tenth of all.
        test: The number of test pictures, at most a tenth of all.
        seed: The seed for the order of the pictures.

    Returns:
        `train`, `validation` and `test`; all questions about a picture are in one split.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is no question about a picture, with the line, the fault and the way
            out, or if there are fewer than three pictures.
    """
    pixels: dict[str, tuple[NDArray[np.uint8], tuple[int, int]]] = {}
    questions: dict[str, list[Question]] = {}
    for where, cells in read_table(path, ("image", "question", "answer"), _BOXES):
        name = cells["image"].strip()
        if name not in pixels:
            pixels[name] = _image(path.parent / name, side, where)
        asked = _question(cells, pixels[name][1], side, where)
        questions.setdefault(name, []).append(asked)
    pictures = [Picture(pixels[name][0], tuple(asked)) for name, asked in questions.items()]
    return split_at_random(
        pictures, "pictures", validation=validation, test=test, seed=seed, origin=str(path)
    )


def _question(cells: Mapping[str, str], size: tuple[int, int], side: int, where: str) -> Question:
    words = tuple(word for word in lower_words(cells["question"]) if any(map(str.isalnum, word)))
    if not words:
        raise ValueError(f"{where}: the question has no words; write it, or delete the line.")
    boxes = tuple(_box(each, size, side, where) for each in cells.get(_BOXES, "").split())
    if len(boxes) > MOST_BOXES:
        raise ValueError(f"{where}: {len(boxes)} boxes; give {MOST_BOXES} at most.")
    return Question(words, normalize(cells["answer"].lower().strip()), boxes)


def _image(path: Path, side: int, where: str) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Return an image resized to a square, and its own height and width."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            small = image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
            return np.asarray(small), (image.height, image.width)
    except FileNotFoundError as error:
        raise ValueError(
            f"{where}: there is no image {path}; name it from the folder of the table."
        ) from error
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{where}: {path} cannot be read as an image ({error}); save it again as PNG, or "
            "delete the line."
        ) from error


def _box(text: str, size: tuple[int, int], side: int, where: str) -> Box:
    """Return a box in pixels of the resized picture."""
    height, width = size
    numbers = [int(number) for number in text.split(",") if number.isdecimal()]
    fits = (
        len(numbers) == 4 and numbers[0] < numbers[2] <= height and numbers[1] < numbers[3] <= width
    )
    if not fits or text.count(",") != 3:
        raise ValueError(
            f"{where}: {text!r} is no box in an image of {height} by {width} pixels; write "
            "top,left,bottom,right in whole pixels, the last two one past the end."
        )
    top, bottom = (round(numbers[place] * side / height) for place in (0, 2))
    left, right = (round(numbers[place] * side / width) for place in (1, 3))
    return top, left, bottom, right
