"""A checkpoint in a GGUF file, as llama.cpp writes it: configuration, tensors and tokenizer in one.

Its tensors may be quantized: they are read as the numbers that they stand for, which are not those
of the checkpoint they were made from.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.reading.gguf_layout import Layout, read_layout
from attn_jax.pretrained.reading.gguf_tokenizer import tokenizer_from
from attn_jax.pretrained.reading.tensors import Tensors

_SETTINGS = {
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "max_position_embeddings": "context_length",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    "rope_theta": "rope.freq_base",
}
_SPECIAL = {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}
_NAMES = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "output": "lm_head",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_norm": "input_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "ffn_norm": "post_attention_layernorm",
}
_ARCHITECTURES = ("llama", "qwen2", "qwen3")


class GgufFile:
    """An open GGUF file.

    Attributes:
        path: Where it lies.
        tensors: Its tensors, under the names that transformers gives them.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path = path
        self._fields = layout.fields
        self._architecture = self._field("general.architecture")
        if self._architecture not in _ARCHITECTURES:
            raise PretrainedError(
                f"{path} is of the architecture {self._architecture!r}, and those that are read "
                f"from GGUF are {', '.join(_ARCHITECTURES)}."
            )
        if self._fields.get("split.count", 1) > 1:
            raise PretrainedError(
                f"{path} is one of {self._fields['split.count']} parts; join them with llama.cpp's "
                "llama-gguf-split --merge."
            )
        if self._setting("attention.sliding_window"):
            raise PretrainedError(
                f"{path} has a sliding window, which is read only from a folder with config.json."
            )
        self.tensors = _GgufTensors(layout, self._row_heads())

    @property
    def config(self) -> dict[str, Any]:
        """The settings that `config.json` would have."""
        tokens = self._field("tokenizer.ggml.tokens")
        config = {
            "model_type": self._architecture,
            "vocab_size": len(tokens),
            "hidden_act": "silu",
            "attention_bias": "layers.0.self_attn.o_proj.bias" in self.tensors,
            "tie_word_embeddings": "lm_head.weight" not in self.tensors,
        }
        for ours, theirs in _SETTINGS.items():
            config[ours] = self._setting(theirs)
        for ours, theirs in _SPECIAL.items():
            config[ours] = self._fields.get(f"tokenizer.ggml.{theirs}_token_id")
        config["rope_scaling"] = self._scaling()
        rotated, head_dim = self._setting("rope.dimension_count"), config["head_dim"]
        if rotated is not None:
            head_dim = head_dim or config["hidden_size"] // config["num_attention_heads"]
            config["partial_rotary_factor"] = rotated / head_dim
        return config

    def rules(self) -> Any:
        """Return the tokenizer, from `tokenizer.json` beside the file, or from the file itself."""
        return tokenizer_from(self._fields, self.path)

    def _field(self, name: str) -> Any:
        if name not in self._fields:
            raise PretrainedError(f"{self.path} has no {name!r}; fetch it again.")
        return self._fields[name]

    def _setting(self, name: str) -> Any:
        value = self._fields.get(f"{self._architecture}.{name}")
        if isinstance(value, list):
            raise PretrainedError(
                f"{self.path} has a {name!r} for each layer, and only one for all is supported."
            )
        return value

    def _scaling(self) -> dict[str, Any] | None:
        """Return what config.json would say in `rope_scaling`, if anything."""
        kind, factor = (self._setting(f"rope.scaling.{name}") for name in ("type", "factor"))
        return None if kind in (None, "none") else {"type": kind, "factor": factor}

    def _row_heads(self) -> dict[str, int]:
        # llama.cpp reorders the rows of Llama's queries and keys for its own rotary positions.
        if self._architecture != "llama":
            return {}
        heads = self._setting("attention.head_count")
        return {"q": heads, "k": self._setting("attention.head_count_kv") or heads}


class _GgufTensors(Tensors):
    """The tensors of a GGUF file by transformers' names, each dequantized when it is asked for."""

    def __init__(self, layout: Layout, row_heads: dict[str, int]) -> None:
        self._stored = {_name(tensor.name): tensor for tensor in layout.tensors}
        super().__init__(self._stored)
        self._data = layout.data
        self._row_heads = row_heads

    def __getitem__(self, name: str) -> np.ndarray:
        from gguf import GGMLQuantizationType
        from gguf.quants import dequantize

        tensor = self._stored[name]
        rows = self._data[tensor.start :][: tensor.size].reshape(*tensor.shape[:-1], -1)
        try:
            values = dequantize(rows, GGMLQuantizationType(tensor.kind))
        except NotImplementedError as error:
            raise PretrainedError(
                f"tensor {tensor.name!r} is quantized as {GGMLQuantizationType(tensor.kind).name}, "
                "which the package gguf cannot read; take a file of another quantization."
            ) from error
        projection = re.fullmatch(r"layers\.\d+\.self_attn\.([qk])_proj\.(weight|bias)", name)
        if projection and projection[1] in self._row_heads:
            return _unpermuted(values, self._row_heads[projection[1]])
        return values

    def shape(self, name: str) -> tuple[int, ...]:
        return self._stored[name].shape


def _name(name: str) -> str:
    """Return transformers' name of a tensor, or its own where there is none."""
    parts = re.fullmatch(r"(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)", name)
    if parts is None or parts[2] not in _NAMES:
        return name
    layer = "" if parts[1] is None else f"layers.{parts[1]}."
    return f"{layer}{_NAMES[parts[2]]}.{parts[3]}"


def _unpermuted(rows: np.ndarray, heads: int) -> np.ndarray:
    """Return the halves of each head one after the other, which llama.cpp interleaves."""
    pairs = rows.reshape(heads, -1, 2, *rows.shape[1:])
    return pairs.swapaxes(1, 2).reshape(rows.shape)


def find_gguf(path: Path) -> Path | None:
    """Return the GGUF file that a path is, or that alone lies in a folder without `config.json`.

    Raises:
        PretrainedError: If there are several.
    """
    if path.suffix == ".gguf" and path.is_file():
        return path
    if (path / "config.json").exists():
        return None
    files = sorted(path.glob("*.gguf"))
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise PretrainedError(f"{path} holds several GGUF files, {names}: name one of them.")
    return files[0] if files else None


def open_gguf(path: Path) -> GgufFile:
    """Open a GGUF file, mapped into memory.

    Raises:
        PretrainedError: If it is damaged, or of a kind that is not read.
    """
    try:
        from gguf import GGML_QUANT_SIZES
    except ImportError as error:
        raise PretrainedError(
            "reading GGUF needs the package gguf: pip install 'attn-jax[hub]'."
        ) from error
    try:
        layout = read_layout(path, GGML_QUANT_SIZES)
    except (OSError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise PretrainedError(f"{path} is damaged: {error}; fetch it again.") from error
    return GgufFile(path, layout)
