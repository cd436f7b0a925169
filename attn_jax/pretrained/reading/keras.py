"""The file of a Keras model: a zip archive with a configuration and weights in HDF5."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.reading.tensors import Tensors

# The layers of the one architecture that is read, by class, without dropout and inputs.
_TRANSLITERATOR = [
    "AdditiveAttention",
    "Bidirectional",
    "Concatenate",
    "Dense",
    "Embedding",
    "Embedding",
    "GRU",
    "TimeDistributed",
]


class KerasFile(NamedTuple):
    """A Keras model: its configuration in the manner of `config.json`, and its tensors."""

    config: dict[str, Any]
    tensors: Tensors


class _Arrays(Tensors):
    """Tensors that are in memory."""

    def __getitem__(self, name: str) -> np.ndarray:
        return self._files[name]

    def shape(self, name: str) -> tuple[int, ...]:
        return self._files[name].shape


def find_keras(path: Path) -> Path | None:
    """Return the Keras file that a path is, or that alone lies in a folder without `config.json`.

    Raises:
        PretrainedError: If there are several.
    """
    if path.suffix == ".keras" and path.is_file():
        return path
    if (path / "config.json").exists():
        return None
    files = sorted(path.glob("*.keras"))
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise PretrainedError(f"{path} holds several Keras files, {names}: name one of them.")
    return files[0] if files else None


def open_keras(path: Path) -> KerasFile:
    """Open a Keras file, without Keras; nothing in it is run.

    Raises:
        PretrainedError: If the file is damaged, or its model is no transliterator like Netra.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            layers = json.loads(archive.read("config.json"))["config"]["layers"]
            arrays = _read_arrays(archive.read("model.weights.h5"))
        classes = sorted(layer["class_name"] for layer in layers)
    except PretrainedError:
        raise
    except Exception as error:  # what a damaged archive raises is not documented
        raise PretrainedError(f"{path} is damaged: {error!r}; fetch it again.") from error
    if [name for name in classes if name not in ("Dropout", "InputLayer")] != _TRANSLITERATOR:
        raise PretrainedError(
            f"{path} holds a Keras model of the layers {', '.join(classes)}; the only one that is "
            "read is Netra's transliterator, two recurrences with additive attention."
        )
    return KerasFile(_config(arrays), _Arrays(arrays))


def _read_arrays(content: bytes) -> dict[str, np.ndarray]:
    """Return the weights of the layers by their paths; the optimizer's are left out."""
    try:
        import h5py
    except ImportError as error:
        raise PretrainedError(
            "reading Keras files needs the package h5py: pip install 'attn-jax[hub]'."
        ) from error
    arrays: dict[str, np.ndarray] = {}

    def keep(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[f"layers/{name}"] = item[()]

    with h5py.File(io.BytesIO(content), "r") as file:
        layers: Any = file["layers"]
        layers.visititems(keep)
    return arrays


def _config(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the sizes of the model, which the shapes of its weights say."""
    sizes = {name: array.shape[0] for name, array in arrays.items() if array.ndim}
    return {
        "model_type": "netra",
        "source_vocabulary": sizes.get("layers/embedding/vars/0"),
        "vocab_size": sizes.get("layers/embedding_1/vars/0"),
        "embedding_dim": sizes.get("layers/gru/cell/vars/0"),
        "features": sizes.get("layers/gru/cell/vars/1"),
        # The padding, and the line break that ends a text.
        "pad_token_id": 0,
        "eos_token_id": 80,
    }
