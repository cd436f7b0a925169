"""From what people have, such as texts, to what a model takes."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax.pretrained.errors import PretrainedError
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


@dataclasses.dataclass(frozen=True)
class PairReader:
    """Reads texts, and what they become, for an encoder and a decoder of tokens.

    Attributes:
        tokenizer: The tokenizer of the texts.
        target_tokenizer: The tokenizer of what they become, often the same.
        start: The number of the token that the decoder begins with.
    """

    tokenizer: Tokenizer
    target_tokenizer: Tokenizer
    start: int

    def encode(
        self, texts: Sequence[str], targets: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """Return what the model takes, for a list of texts.

        Args:
            texts: The texts that the encoder reads.
            targets: For each, what the decoder is to have written; nothing yet if None.

        Returns:
            `tokens`, `(batch, tokens)`, filled up on the right; `key_mask`, which is True where
            there is a token; and `decoder_tokens`, as in training: the start, and the tokens of the
            target but the last, which the others predict.

        Raises:
            PretrainedError: If a text is empty or longer than the model's positions, or there is
                not one target for each text.
        """
        tokens, exists = self.tokenizer.encode(texts)
        starts = np.full((len(tokens), 1), self.start, np.int32)
        written = starts[:, :0]
        if targets is not None:
            written = self.target_tokenizer.encode(targets)[0][:, :-1]
            if len(written) != len(tokens):
                raise PretrainedError(f"{len(tokens)} texts have {len(written)} targets.")
        decoder_tokens = np.concatenate([starts, written], axis=1)
        return {
            "tokens": jnp.asarray(tokens),
            "key_mask": jnp.asarray(exists),
            "decoder_tokens": jnp.asarray(decoder_tokens),
        }
