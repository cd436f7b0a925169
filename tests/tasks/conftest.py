"""A tiny set of images, as arrays and as idx files; a registry of wheels that is a folder."""

import base64
import errno
import hashlib
import pathlib
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from attn_jax.tasks import images
from attn_jax.tasks.fetch import Wheel
from attn_jax.tasks.mnist import digests, sources

TRAIN, TEST, CLASSES = 13, 7, 3


def idx_bytes(array: np.ndarray) -> bytes:
    """An idx file, written here by the format's own description."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + bytes(array.ravel().tolist())


@pytest.fixture
def tiny() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "train_images": rng.integers(0, 256, (TRAIN, 28, 28), np.uint8),
        "train_labels": (np.arange(TRAIN) % CLASSES).astype(np.uint8),
        "test_images": rng.integers(0, 256, (TEST, 28, 28), np.uint8),
        "test_labels": (np.arange(TEST) % CLASSES).astype(np.uint8),
    }


@pytest.fixture
def tiny_folder(tmp_path: pathlib.Path, tiny: dict[str, np.ndarray]) -> pathlib.Path:
    folder = tmp_path / "idx"
    folder.mkdir()
    for name, array in tiny.items():
        (folder / images.IDX_FILES[name]).write_bytes(idx_bytes(array))
    return folder


@pytest.fixture
def own_folders(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """An empty cache, an empty TFDS folder, and installers that find nothing."""
    monkeypatch.setenv("ATTN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return tmp_path


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> Callable[[pathlib.Path], None]:
    """Makes the files of a folder unreadable, even for a superuser, who runs some of the tests."""
    path_open = pathlib.Path.open

    def forbid(folder: pathlib.Path) -> None:
        def checked(path: pathlib.Path, mode: str = "r", *args: Any, **options: Any):
            if path.parent == folder and mode.startswith("r"):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return path_open(path, mode, *args, **options)

        monkeypatch.setattr(pathlib.Path, "open", checked)

    return forbid


class Registry:
    """A folder that serves as a package registry, with one wheel in it."""

    def __init__(self, folder: pathlib.Path) -> None:
        folder.mkdir()
        self.path = folder / "tiny_data-1.0-py3-none-any.whl"

    def add(self, files: dict[str, bytes]) -> Wheel:
        """Builds the wheel that holds these files, in place of any earlier one."""
        info = "tiny_data-1.0.dist-info"
        files = files | {
            f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny_data\nVersion: 1.0\n",
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(
            f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in files.items()
        )
        files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
        with zipfile.ZipFile(self.path, "w") as file:
            for name, data in files.items():
                file.writestr(name, data)
        return Wheel("tiny-data", "1.0", hashlib.sha256(self.path.read_bytes()).hexdigest())


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@pytest.fixture
def registry(own_folders: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry that the installers look into, and into no other."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(own_folders / "registry"))
    monkeypatch.setenv("UV_FIND_LINKS", str(own_folders / "registry"))
    return Registry(own_folders / "registry")


@pytest.fixture
def tiny_is_mnist(
    tiny: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> dict[str, np.ndarray]:
    """The tiny set, pinned in place of MNIST, to try the sources without the real one."""
    for name, array in tiny.items():
        digest = hashlib.sha256(idx_bytes(array)).hexdigest()
        monkeypatch.setitem(digests.MNIST_DIGESTS, name, digest)
    for split in ("train", "test"):
        pairs = zip(tiny[f"{split}_images"], tiny[f"{split}_labels"], strict=True)
        records = sorted(image.tobytes() + bytes([label]) for image, label in pairs)
        digest = hashlib.sha256(b"".join(records)).hexdigest()
        monkeypatch.setitem(digests.SHUFFLED_DIGESTS, split, digest)
    return tiny


@pytest.fixture(scope="session")
def real_mnist() -> dict[str, np.ndarray]:
    """MNIST itself: from the cache, or fetched once and then in the cache."""
    return sources.read_mnist()
