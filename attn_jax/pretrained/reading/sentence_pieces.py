"""The two sentencepiece models of Marian, whose pieces have numbers in a file of their own."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attn_jax.pretrained.errors import PretrainedError

_FILES = ("source.spm", "target.spm", "vocab.json")
_END, _UNKNOWN, _PAD = "</s>", "<unk>", "<pad>"
_LANGUAGE = re.compile(r">>.*?<<")


class Encoding(NamedTuple):
    """The numbers of a text."""

    ids: list[int]


class SentencePieces:
    """The rules of one side of a translator, with the methods of a tokenizer of `tokenizers`.

    A language such as `>>fr<<` before a text is one token. Punctuation is not replaced by simpler
    marks, as it is by Marian's scripts.

    Args:
        processor: A `sentencepiece.SentencePieceProcessor`.
        numbers: The number of each piece.
    """

    def __init__(self, processor: Any, numbers: Mapping[str, int]) -> None:
        self._processor = processor
        self._numbers = numbers
        self._pieces = {number: piece for piece, number in numbers.items()}

    def encode_batch(self, texts: Iterable[str]) -> list[Encoding]:
        """Return the numbers of texts, with that of the end."""
        return [Encoding([self._number(piece) for piece in self._split(text)]) for text in texts]

    def _split(self, text: str) -> list[str]:
        language = _LANGUAGE.match(text)
        codes = [language[0]] if language else []
        rest = text[language.end() :] if language else text
        return [*codes, *self._processor.encode(rest, out_type=str), _END]

    def _number(self, piece: str) -> int:
        return self._numbers.get(piece, self._numbers[_UNKNOWN])

    def id_to_token(self, number: int) -> str | None:
        """Return the piece of a number."""
        return self._pieces.get(number)

    def decode(self, numbers: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Return the text of some numbers."""
        pieces = [self._pieces.get(number, _UNKNOWN) for number in numbers]
        if skip_special_tokens:
            pieces = [piece for piece in pieces if piece not in (_END, _PAD, _UNKNOWN)]
        return self._processor.decode_pieces(pieces).strip()


def has_sentence_pieces(folder: Path) -> bool:
    """Return whether a folder has two sentencepiece models and a vocabulary."""
    return all((folder / name).is_file() for name in _FILES)


def read_sentence_pieces(folder: Path, side: str) -> SentencePieces:
    """Read the rules of a side, source or target.

    Raises:
        PretrainedError: If a file is damaged.
    """
    from sentencepiece import SentencePieceProcessor

    path = folder / f"{side}.spm"
    try:
        processor = SentencePieceProcessor(model_proto=path.read_bytes())
    except RuntimeError as error:
        raise PretrainedError(f"{path} is damaged: {error}; fetch it again.") from error
    own = folder / "target_vocab.json"
    is_own = side == "target" and own.is_file()
    return SentencePieces(processor, _read_numbers(own if is_own else folder / "vocab.json"))


def _read_numbers(path: Path) -> dict[str, int]:
    try:
        numbers = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PretrainedError(f"{path} cannot be read: {error}; fetch it again.") from error
    is_whole = isinstance(numbers, dict) and all(isinstance(x, int) for x in numbers.values())
    if not is_whole or not {_END, _UNKNOWN} <= set(numbers):
        raise PretrainedError(
            f"{path} is no vocabulary of Marian's, an object from pieces, among them {_END} and "
            f"{_UNKNOWN}, to numbers; fetch it again."
        )
    return numbers
