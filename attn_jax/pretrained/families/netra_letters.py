"""The letters that Netra reads and the signs that it writes."""

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from importlib import resources

import jax.numpy as jnp
from jax import Array

from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.reading.reader import PairReader
from attn_jax.pretrained.reading.sentence_pieces import Encoding
from attn_jax.pretrained.reading.tokenizer import Tokenizer

_UNKNOWN = 1  # the padding has 0
_START, _END = "\t", "\n"
# In training every word was filled up to so many letters, with zeros that took part.
_WIDTH = 25


class Letters:
    """A vocabulary of single signs, with the methods of a tokenizer of `tokenizers`.

    Args:
        signs: The signs by their numbers.
        end: What is added to each text.
    """

    def __init__(self, signs: Sequence[str], end: str = "") -> None:
        self._signs = signs
        self._numbers = {sign: i for i, sign in enumerate(signs) if i > _UNKNOWN}
        self._end = end

    def encode_batch(self, texts: Iterable[str]) -> list[Encoding]:
        """Return the number of each sign of texts."""
        return [
            Encoding([self._numbers.get(sign, _UNKNOWN) for sign in text + self._end])
            for text in texts
        ]

    def id_to_token(self, number: int) -> str | None:
        """Return the sign of a number."""
        return self._signs[number] if 0 <= number < len(self._signs) else None

    def decode(self, numbers: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Return the text of some numbers, up to its end."""
        if not skip_special_tokens:
            return "".join(self._signs[number] for number in numbers)
        text = "".join(self._signs[number] for number in numbers if number > _UNKNOWN)
        return text.partition(_END)[0].replace(_START, "")


@dataclasses.dataclass(frozen=True)
class LetterReader(PairReader):
    """Reads words in Latin letters, for Netra."""

    def encode(
        self, texts: Sequence[str], targets: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """Return what the model takes, for a list of words or phrases.

        Only the letters from a to z are read, without their case.

        Args:
            texts: What is to be transliterated, of at most 25 letters each.
            targets: For each, what the decoder is to have written; nothing yet if None.

        Returns:
            `tokens`, `(batch, 25)`, filled up with zeros, to which the model attends too; and
            `decoder_tokens`: the start, and the signs of the target.

        Raises:
            PretrainedError: If a text has no letters or too many, or there is not one target for
                each text.
        """
        if isinstance(texts, str):
            raise PretrainedError(f"encode takes a list of texts, not {texts!r}.")
        letters = [re.sub("[^a-z]", "", text.lower()) for text in texts]
        for text, kept in zip(texts, letters, strict=True):
            if not kept:
                raise PretrainedError(f"{text!r} has no letter from a to z.")
        inputs = super().encode(letters, targets)
        tokens = inputs["tokens"]
        missing = _WIDTH - tokens.shape[1]
        return {
            "tokens": jnp.pad(tokens, [(0, 0), (0, missing)]),
            "decoder_tokens": inputs["decoder_tokens"],
        }


def read_letters(source_size: int, size: int) -> LetterReader:
    """Return the reader of a model with the vocabularies of netra-transliterate 1.0.1.

    Args:
        source_size: The number of letters that it reads.
        size: The number of signs that it writes.

    Raises:
        PretrainedError: If the model has other vocabularies.
    """
    path = resources.files("attn_jax.pretrained.families") / "netra_vocabulary.json"
    vocabulary = json.loads(path.read_text(encoding="utf-8"))
    source, target = vocabulary["source"], vocabulary["target"]
    if (len(source), len(target)) != (source_size, size):
        raise PretrainedError(
            f"the model reads {source_size} letters and writes {size} signs; the vocabulary of "
            f"netra-transliterate 1.0.1 has {len(source)} and {len(target)}."
        )
    return LetterReader(
        tokenizer=Tokenizer(Letters(source), pad=0, limit=_WIDTH),
        target_tokenizer=Tokenizer(Letters(target, _END), pad=0, limit=10**6),
        start=target.index(_START),
    )
