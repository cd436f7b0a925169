"""The data set easy-VQA, from the cache or from the wheel that holds it.

The wheel's images and questions are read as files, and nothing in it is run. The arrays are
compared with their digests at every load; a damaged cache is set aside and written again.
"""

import hashlib
import io
import json
import warnings
from importlib.resources.abc import Traversable

import numpy as np

from attn_jax.tasks.cache import cache_folder, read_arrays, set_aside, write_arrays
from attn_jax.tasks.fetch import FetchError, Wheel, fetch_wheel
from attn_jax.tasks.own_tables import lower_words
from attn_jax.tasks.visual_questions.picture import Picture, Question

__all__ = ["EASY_VQA", "read_easy_vqa"]

EASY_VQA = Wheel(
    "easy-vqa", "1.0", "fcb51b309b78c7b00f97b64cdbcbcf5c105f94da1b39c0796cee5a787c4f650f"
)
"""The wheel with the pictures and questions (MIT license)."""

DIGESTS = {
    "train_images": "a40e8163e77d3ad089961903d049816b608f00b10b75864639c15afbd542cdd0",
    "train_questions": "bb67697636aed0e65631d4266824aebeae5c833b0f37ed781e20752e85617ec5",
    "test_images": "25fa8ef463ac0efa28a43bce372e798825bd5daafa56fc63a063db2ccc991251",
    "test_questions": "0d4630a51bafec65343e2f6af9cdd20cf8eae214344ef57636202eec409553f7",
}
"""The sha256 of the pixels and of the JSON of each part."""

SIDE = 64
"""The side of a picture in pixels."""

_PICTURES = {"train": 4000, "test": 1000}


def read_easy_vqa() -> dict[str, list[Picture]]:
    """Read the pictures and questions, and keep them in the cache.

    Returns:
        `train`, 4,000 pictures with 38,575 questions, and `test`, 1,000 with 9,673.

    Raises:
        FileNotFoundError: If they are not in the cache and cannot be fetched; with the way out.
        ValueError: If the wheel does not hold what it should.
    """
    arrays = _cached() or _fetched()
    return {
        part: _pictures(arrays[f"{part}_images"], arrays[f"{part}_questions"].tobytes())
        for part in _PICTURES
    }


def _pictures(images: np.ndarray, content: bytes) -> list[Picture]:
    questions: list[list[Question]] = [[] for _ in images]
    for text, answer, number in json.loads(content):
        words = tuple(word for word in lower_words(text) if word.isalnum())
        questions[number].append(Question(words, answer))
    return [Picture(i, tuple(q)) for i, q in zip(images, questions, strict=True)]


def _cached() -> dict[str, np.ndarray] | None:
    path = cache_folder() / "easy-vqa.npz"
    try:
        arrays = read_arrays(path)
        _check(arrays, f"the cache {path}")
    except (FileNotFoundError, PermissionError):
        return None
    except ValueError as error:
        warnings.warn(f"{error} {set_aside(path)} It is fetched again.", stacklevel=2)
        return None
    return arrays


def _fetched() -> dict[str, np.ndarray]:
    path = cache_folder() / "easy-vqa.npz"
    try:
        with fetch_wheel(EASY_VQA) as root:
            arrays = _read(root.joinpath("easy_vqa", "data"))
    except FetchError as error:
        raise FileNotFoundError(
            f"easy-VQA is not in the cache {path}, and {error}\nConnect to a package registry "
            "once, or ask other questions: --task.name shapes draws its own."
        ) from error
    _check(arrays, f"the wheel {EASY_VQA}")
    try:
        write_arrays(path, arrays)
    except OSError as error:
        warnings.warn(
            f"easy-VQA cannot be kept in {path} ({error}) and will be fetched again; set the "
            "environment variable ATTN_JAX_CACHE to another folder.",
            stacklevel=2,
        )
    return arrays


def _read(folder: Traversable) -> dict[str, np.ndarray]:
    from PIL import Image

    arrays = {}
    for part, count in _PICTURES.items():
        files = (folder.joinpath(part, "images", f"{number}.png") for number in range(count))
        images = [np.asarray(Image.open(io.BytesIO(file.read_bytes()))) for file in files]
        arrays[f"{part}_images"] = np.stack(images)
        content = folder.joinpath(part, "questions.json").read_bytes()
        arrays[f"{part}_questions"] = np.frombuffer(content, np.uint8)
    return arrays


def _check(arrays: dict[str, np.ndarray], origin: str) -> None:
    for name, expected in DIGESTS.items():
        digest = hashlib.sha256(arrays[name].tobytes()).hexdigest() if name in arrays else "nothing"
        if digest != expected:
            raise ValueError(f"{name} of {origin} has the sha256 {digest}; expected {expected}.")
