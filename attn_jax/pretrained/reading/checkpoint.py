"""A checkpoint on disk, in a folder of transformers' or in a GGUF file."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attn_jax.pretrained.reading.config import read_config, read_preprocessing
from attn_jax.pretrained.reading.gguf import find_gguf, open_gguf
from attn_jax.pretrained.reading.tensors import Tensors, open_tensors
from attn_jax.pretrained.reading.tokenizer import read_rules


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """An open checkpoint.

    Attributes:
        config: Its configuration.
        tensors: Its tensors, under the names that transformers gives them.
        rules: Reads the rules of its tokenizer.
        target_rules: Reads those of what a translator writes; None if they are the same.
        preprocessing: What it asks for before its model sees an image or a sound; empty if it says
            nothing.
    """

    config: dict[str, Any]
    tensors: Tensors
    rules: Callable[[], Any]
    preprocessing: dict[str, Any] = dataclasses.field(default_factory=dict)
    target_rules: Callable[[], Any] | None = None


@contextlib.contextmanager
def open_checkpoint(path: Path) -> Iterator[Checkpoint]:
    """Open a folder of a checkpoint, or a GGUF file.

    Raises:
        PretrainedError: If a part of it is missing or damaged.
    """
    file = find_gguf(path)
    if file is not None:
        gguf = open_gguf(file)
        yield Checkpoint(gguf.config, gguf.tensors, gguf.rules)
        return
    config = read_config(path)
    with open_tensors(path) as tensors:
        yield Checkpoint(
            config,
            tensors,
            lambda: read_rules(path),
            read_preprocessing(path),
            lambda: read_rules(path, "target"),
        )
