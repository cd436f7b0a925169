"""The tensors of a checkpoint, in one safetensors file or in several."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attn_jax.pretrained.errors import PretrainedError

_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")


# A Mapping without the types of its items: a type checker at run time would read one to check it.
class Tensors(Mapping):
    """The tensors of a folder by name, each read when it is asked for.

    The files are mapped into memory, so that only the tensor in hand takes memory of its own.
    """

    def __init__(self, files: Mapping[str, Any]) -> None:
        self._files = files

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            return self._files[name].get_tensor(name)
        except KeyError:
            raise
        except Exception as error:  # what a damaged file raises is not documented
            raise PretrainedError(f"tensor {name!r} cannot be read: {error}.") from error

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor without reading it."""
        return tuple(self._files[name].get_slice(name).get_shape())


@contextlib.contextmanager
def open_tensors(folder: Path) -> Iterator[Tensors]:
    """Open the safetensors files of a folder.

    Raises:
        PretrainedError: If there are none, or one is damaged or missing.
    """
    with contextlib.ExitStack() as stack:
        files: dict[str, Any] = {}
        for path in _paths(folder):
            opened = stack.enter_context(_open(path))
            files |= dict.fromkeys(opened.keys(), opened)
        yield Tensors(files)


def _paths(folder: Path) -> list[Path]:
    if (folder / _WHOLE).is_file():
        return [folder / _WHOLE]
    if (folder / _INDEX).is_file():
        return [folder / name for name in _shards(folder / _INDEX)]
    pickles = [name for name in _PICKLES if (folder / name).is_file()]
    if pickles:
        raise PretrainedError(
            f"{folder} holds {pickles[0]}, a pickle, which could run any code and is never read. "
            "Convert it where you trust it, in an environment with PyTorch: "
            "AutoModel.from_pretrained(folder).save_pretrained(folder, safe_serialization=True)."
        )
    raise PretrainedError(f"{folder} holds neither {_WHOLE} nor {_INDEX}.")


def _shards(index: Path) -> list[str]:
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PretrainedError(f"{index} cannot be read: {error!r}; fetch it again.") from error
    for name in sorted(names, key=str):
        # A file of data never says where to look: only names in its own folder.
        if not isinstance(name, str) or Path(name).name != name:
            raise PretrainedError(f"{index} names {name!r}, which is no file beside it.")
    return sorted(names)


def _open(path: Path) -> Any:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise PretrainedError(
            "reading checkpoints needs the package safetensors: pip install 'attn-jax[hub]'."
        ) from error
    try:
        return safe_open(path, framework="numpy")
    except FileNotFoundError as error:
        raise PretrainedError(f"{path} is missing; fetch the checkpoint again.") from error
    except (SafetensorError, OSError) as error:
        raise PretrainedError(f"{path} is damaged: {error}; fetch it again.") from error
