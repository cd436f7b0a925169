"""Whisper in a folder of CTranslate2's, as faster-whisper has it, under transformers' names."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.reading.config import read_config
from attn_jax.pretrained.reading.ctranslate2_file import read_file
from attn_jax.pretrained.reading.tensors import Tensors
from attn_jax.pretrained.reading.tokenizer import read_rules

_FILE = "model.bin"
# What Whisper is; a file that says otherwise is some other model.
_WHISPER = {
    "decoder/pre_norm": 1,
    "decoder/activation": 3,  # the exact GELU
    "decoder/alibi": 0,
    "decoder/scale_embeddings": 0,
    "decoder/start_from_zero_embedding": 0,
}
_PARTS = {
    "self_attention/layer_norm": ("self_attn_layer_norm",),
    "self_attention/linear_0": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attention/linear_1": ("self_attn.out_proj",),
    "attention/layer_norm": ("encoder_attn_layer_norm",),
    "attention/linear_0": ("encoder_attn.q_proj",),
    "attention/linear_1": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "attention/linear_2": ("encoder_attn.out_proj",),
    "ffn/layer_norm": ("final_layer_norm",),
    "ffn/linear_0": ("fc1",),
    "ffn/linear_1": ("fc2",),
}
_WHOLE = {
    "encoder/conv1/weight": "encoder.conv1.weight",
    "encoder/conv1/bias": "encoder.conv1.bias",
    "encoder/conv2/weight": "encoder.conv2.weight",
    "encoder/conv2/bias": "encoder.conv2.bias",
    "encoder/position_encodings/encodings": "encoder.embed_positions.weight",
    "encoder/layer_norm/gamma": "encoder.layer_norm.weight",
    "encoder/layer_norm/beta": "encoder.layer_norm.bias",
    "decoder/embeddings/weight": "decoder.embed_tokens.weight",
    "decoder/position_encodings/encodings": "decoder.embed_positions.weight",
    "decoder/layer_norm/gamma": "decoder.layer_norm.weight",
    "decoder/layer_norm/beta": "decoder.layer_norm.bias",
    "decoder/projection/weight": "proj_out.weight",
}


class _Arrays(Tensors):
    """Tensors that are arrays already."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        super().__init__(arrays)
        self._arrays = arrays

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def shape(self, name: str) -> tuple[int, ...]:
        return self._arrays[name].shape


@dataclasses.dataclass(frozen=True)
class Ctranslate2Model:
    """An open folder.

    Attributes:
        config: The settings that transformers' `config.json` would have.
        generation: Those that its `generation_config.json` would have.
        tensors: The tensors, under the names that transformers gives them.
    """

    config: dict[str, Any]
    generation: dict[str, Any]
    tensors: Tensors


def is_ctranslate2(folder: Path) -> bool:
    """Return whether a folder holds a model of CTranslate2's, and none of transformers'."""
    return (folder / _FILE).is_file() and not any(folder.glob("*.safetensors*"))


def open_ctranslate2(folder: Path) -> Ctranslate2Model:
    """Open a folder that holds Whisper.

    Raises:
        PretrainedError: If a file is missing or damaged, or the model is another one.
    """
    path = folder / _FILE
    kind, arrays = read_file(path)
    if kind != "WhisperSpec":
        raise PretrainedError(
            f"{path} is a {kind}; of CTranslate2's models only WhisperSpec is read."
        )
    numbers = {name: int(x) for name, x in arrays.items() if not x.shape and x.dtype.kind == "i"}
    for name, expected in _WHISPER.items():
        if numbers.get(name, expected) != expected:
            raise PretrainedError(
                f"{path} says {name} = {numbers[name]}, and Whisper's is {expected}."
            )
    tensors = dict(_named(path, {name: x for name, x in arrays.items() if x.shape}))
    ends = read_rules(folder).token_to_id("<|endoftext|>")
    return Ctranslate2Model(
        _config(path, tensors, numbers) | {"eos_token_id": ends, "pad_token_id": ends},
        _generation(read_config(folder)) | {"eos_token_id": ends},
        _Arrays(tensors),
    )


def _named(path: Path, arrays: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the tensors, those that are stored as one apart."""
    for name, array in arrays.items():
        match = re.fullmatch(r"(encoder|decoder)/layer_(\d+)/(.+)/(weight|bias|gamma|beta)", name)
        if match is None or match[3] not in _PARTS:
            yield _WHOLE.get(name, name), array
            continue
        parts = _PARTS[match[3]]
        kind = {"gamma": "weight", "beta": "bias"}.get(match[4], match[4])
        if len(array) % len(parts):
            raise PretrainedError(f"{path}: {name!r} has {len(array)} rows for {len(parts)} parts.")
        for part, rows in zip(parts, np.split(array, len(parts)), strict=True):
            if part.endswith("k_proj") and kind == "bias":
                if rows.any():
                    raise PretrainedError(f"{path}: keys have a bias, and Whisper's have none.")
            else:
                yield f"{match[1]}.layers.{match[2]}.{part}.{kind}", rows


def _config(path: Path, tensors: dict[str, np.ndarray], numbers: dict[str, int]) -> dict[str, Any]:
    """Return the settings that the shapes of tensors tell."""
    config: dict[str, Any] = {"model_type": "whisper", "activation_function": "gelu"}
    try:
        config["vocab_size"], config["d_model"] = tensors["decoder.embed_tokens.weight"].shape
        config["num_mel_bins"] = tensors["encoder.conv1.weight"].shape[1]
        config["max_source_positions"] = len(tensors["encoder.embed_positions.weight"])
        config["max_target_positions"] = len(tensors["decoder.embed_positions.weight"])
        for side in ("encoder", "decoder"):
            config[f"{side}_ffn_dim"] = len(tensors[f"{side}.layers.0.fc1.weight"])
            config[f"{side}_attention_heads"] = numbers[f"{side}/num_heads"]
            config[f"{side}_layers"] = sum(
                re.fullmatch(rf"{side}\.layers\.\d+\.fc1\.weight", name) is not None
                for name in tensors
            )
    except (KeyError, ValueError, IndexError) as error:
        raise PretrainedError(f"{path} is no whole Whisper: {error}; fetch it again.") from error
    embedding = tensors["decoder.embed_tokens.weight"]
    config["tie_word_embeddings"] = tensors.get("proj_out.weight", embedding) is embedding
    return config


def _generation(settings: dict[str, Any]) -> dict[str, Any]:
    """Return how the model is to write, from CTranslate2's `config.json`."""
    names = {
        "suppress_tokens": "suppress_ids",
        "begin_suppress_tokens": "suppress_ids_begin",
        "alignment_heads": "alignment_heads",
    }
    return {ours: settings[theirs] for ours, theirs in names.items() if theirs in settings}
