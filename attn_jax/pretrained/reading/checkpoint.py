"""A checkpoint on disk: a folder of transformers' or CTranslate2's, or a file of another format."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attn_jax.pretrained.reading.config import read_config, read_generation, read_preprocessing
from attn_jax.pretrained.reading.ctranslate2 import is_ctranslate2, open_ctranslate2
from attn_jax.pretrained.reading.gguf import find_gguf, open_gguf
from attn_jax.pretrained.reading.keras import find_keras, open_keras
from attn_jax.pretrained.reading.onnx import PREPROCESSING, find_onnx, open_onnx
from attn_jax.pretrained.reading.tensors import Tensors, open_tensors
from attn_jax.pretrained.reading.tokenizer import read_rules


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """An open checkpoint.

    Attributes:
        config: Its configuration.
        tensors: Its tensors, under the names that transformers gives them.
        rules: Reads the rules of its tokenizer.
        preprocessing: What it asks for before its model sees an image or a sound; empty if it says
            nothing.
        generation: How its model is to write; empty if it says nothing.
        target_rules: Reads those of what a translator writes; None if they are the same.
    """

    config: dict[str, Any]
    tensors: Tensors
    rules: Callable[[], Any]
    preprocessing: dict[str, Any] = dataclasses.field(default_factory=dict)
    generation: dict[str, Any] = dataclasses.field(default_factory=dict)
    target_rules: Callable[[], Any] | None = None


@contextlib.contextmanager
def open_checkpoint(path: Path) -> Iterator[Checkpoint]:
    """Open a folder of a checkpoint, or a GGUF, Keras or ONNX file.

    Raises:
        PretrainedError: If a part of it is missing or damaged.
    """
    file = find_gguf(path)
    if file is not None:
        gguf = open_gguf(file)
        yield Checkpoint(gguf.config, gguf.tensors, gguf.rules)
        return
    file = find_onnx(path)
    if file is not None:
        onnx = open_onnx(file)
        yield Checkpoint(onnx.config, onnx.tensors, lambda: read_rules(path), PREPROCESSING)
        return
    if is_ctranslate2(path):
        opened = open_ctranslate2(path)
        preprocessing = read_preprocessing(path)
        config, generation = opened.config, opened.generation
        yield Checkpoint(
            config, opened.tensors, lambda: read_rules(path), preprocessing, generation
        )
        return
    file = find_keras(path)
    if file is not None:
        keras = open_keras(file)
        # The file has no vocabulary; the family has its own.
        yield Checkpoint(keras.config, keras.tensors, lambda: read_rules(path))
        return
    config = read_config(path)
    with open_tensors(path) as tensors:
        yield Checkpoint(
            config,
            tensors,
            lambda: read_rules(path),
            read_preprocessing(path),
            read_generation(path),
            lambda: read_rules(path, "target"),
        )
