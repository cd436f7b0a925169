"""Pieces of words, by the sentencepiece library: no word is unknown but for its letters."""

import dataclasses
import functools
import io
from collections.abc import Iterable
from typing import SupportsInt

import sentencepiece

from attn_jax.tasks.translation.tokens import BEGIN, END, PAD, SPECIALS, UNKNOWN, until_end

__all__ = ["SubwordTokenizer", "train_subwords"]

# sentencepiece writes blanks as U+2581 and skips sentences with U+2585 or a null. In a text that
# holds these characters, noncharacters of Unicode stand in for them.
_STAND_INS = {0x2581: 0xFDD0, 0x2585: 0xFDD1, 0x0: 0xFDD2}
_ORIGINALS = {stand_in: original for original, stand_in in _STAND_INS.items()}


@dataclasses.dataclass(frozen=True)
class SubwordTokenizer:
    """Splits text with a trained model of sentencepiece.

    Example:
        >>> pieces = train_subwords(["low lower lowest"] * 9, size=16)
        >>> pieces.decode(pieces.encode("lower"))
        'lower'
    """

    model: bytes = dataclasses.field(repr=False)
    """The model, as sentencepiece serialises it."""

    @functools.cached_property
    def _processor(self) -> sentencepiece.SentencePieceProcessor:
        return sentencepiece.SentencePieceProcessor(model_proto=self.model)

    @property
    def size(self) -> int:
        """How many numbers there are, the special ones included."""
        return self._processor.get_piece_size()

    @property
    def vocabulary(self) -> list[str]:
        """The piece of each number; ``▁`` stands for the blank before a word."""
        return [piece.translate(_ORIGINALS) for piece in self._pieces]

    @functools.cached_property
    def _pieces(self) -> list[str]:
        numbers = range(len(SPECIALS), self.size)
        return [*SPECIALS, *map(self._processor.id_to_piece, numbers)]

    def tokens(self, text: str) -> list[str]:
        """The pieces of a normalised text, as shown to people."""
        pieces = self._processor.encode(text.translate(_STAND_INS), out_type=str)
        return [piece.translate(_ORIGINALS) for piece in pieces]

    def encode(self, text: str) -> list[int]:
        """The number of each piece, without special ones but `UNKNOWN`."""
        return self._processor.encode(text.translate(_STAND_INS), out_type=int)

    def decode(self, ids: Iterable[SupportsInt]) -> str:
        """The text of numbers up to the first `END`, leaving `PAD` and `BEGIN` out."""
        text = "".join(self._pieces[number] for number in until_end(ids))
        return text.replace("▁", " ").strip(" ").translate(_ORIGINALS)


def train_subwords(sentences: Iterable[str], size: int) -> SubwordTokenizer:
    """Trains a unigram model; the same sentences always give the same model.

    Args:
        sentences: Of the training split, normalised.
        size: The most numbers, special ones included; few sentences give fewer.

    Returns:
        The tokeniser.

    Raises:
        ValueError: There are more different characters than `size` allows.

    References:
        Kudo, Subword Regularization, 2018, https://arxiv.org/abs/1804.10959.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(sentence.translate(_STAND_INS) for sentence in sentences),
            model_writer=model,
            vocab_size=size,
            hard_vocab_limit=False,
            character_coverage=1.0,
            normalization_rule_name="identity",
            pad_id=PAD,
            bos_id=BEGIN,
            eos_id=END,
            unk_id=UNKNOWN,
            num_threads=1,
            # Its own limit would leave long sentences out without a word.
            max_sentence_length=2**30,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ValueError(
            f"vocabulary_size={size} is too small for these sentences: sentencepiece says {error}; "
            "ask for more, or for level 'words'."
        ) from error
    return SubwordTokenizer(model.getvalue())
