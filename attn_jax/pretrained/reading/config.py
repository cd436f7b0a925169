"""The configuration of a checkpoint."""

import json
from pathlib import Path
from typing import Any

from attn_jax.pretrained.errors import PretrainedError


def read_config(folder: Path) -> dict[str, Any]:
    """Return the content of `config.json`.

    Raises:
        PretrainedError: If there is no such file, or it is not a JSON object.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise PretrainedError(
            f"{folder} has no config.json, so it is not a folder of a checkpoint; name the folder "
            "that holds config.json and model.safetensors."
        )
    return _read_object(path)


def read_preprocessing(folder: Path) -> dict[str, Any]:
    """Return what a checkpoint asks for before its model sees an image or a sound.

    It stands in `preprocessor_config.json`, or, where a model reads texts too, in a part of
    `processor_config.json`, as transformers 5 writes it.

    Returns:
        The settings; empty if there are none.

    Raises:
        PretrainedError: If a file or its part is not a JSON object.
    """
    settings = _read_object_if_any(folder / "preprocessor_config.json")
    if settings:
        return settings
    path = folder / "processor_config.json"
    whole = _read_object_if_any(path)
    return _checked(whole.get("image_processor", whole.get("feature_extractor", {})), path)


def read_generation(folder: Path) -> dict[str, Any]:
    """Return the content of `generation_config.json`, or nothing if there is no such file.

    Raises:
        PretrainedError: If it is not a JSON object.
    """
    return _read_object_if_any(folder / "generation_config.json")


def _read_object_if_any(path: Path) -> dict[str, Any]:
    return _read_object(path) if path.is_file() else {}


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PretrainedError(f"{path} cannot be read: {error}; fetch it again.") from error
    return _checked(content, path)


def _checked(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise PretrainedError(
            f"{path} holds {type(content).__name__}, not an object; fetch it again."
        )
    return content
