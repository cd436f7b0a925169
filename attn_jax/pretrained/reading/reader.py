"""From what people have, such as texts, to what a model takes."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
from jax import Array

from attn_jax.pretrained.reading.tokenizer import Tokenizer


@runtime_checkable
class Reader(Protocol):
    """Makes the arguments of a model, by name, from texts, images or sounds."""

    @property
    def encode(self) -> Any:
        """The function that does it."""


@dataclasses.dataclass(frozen=True)
class TextReader:
    """Reads texts for a model of tokens.

    Attributes:
        tokenizer: The tokenizer of the checkpoint.
    """

    tokenizer: Tokenizer

    def encode(self, texts: Sequence[str]) -> dict[str, Array]:
        """Return what the model takes, for a list of texts.

        Returns:
            `tokens`, `(batch, tokens)`, filled up on the right, and `key_mask`, which is True where
            there is a token.

        Raises:
            PretrainedError: If a text is empty or longer than the model's positions.
        """
        tokens, exists = self.tokenizer.encode(texts)
        return {"tokens": jnp.asarray(tokens), "key_mask": jnp.asarray(exists)}
