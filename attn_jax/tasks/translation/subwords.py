"""Pieces of words as tokens, by the sentencepiece library; only new letters are unknown."""

import dataclasses
import functools
import io
from collections.abc import Iterable
from typing import Any, SupportsInt

from attn_jax._extras import require
from attn_jax.tasks.translation.tokens import BEGIN, END, PAD, SPECIALS, UNKNOWN, until_end

__all__ = ["SubwordTokenizer", "train_subwords"]

# sentencepiece writes blanks as U+2581 and skips sentences with U+2585 or a null. In a text that
# holds these characters, noncharacters of Unicode stand in for them.
_STAND_INS = {0x2581: 0xFDD0, 0x2585: 0xFDD1, 0x0: 0xFDD2}
_ORIGINALS = {stand_in: original for original, stand_in in _STAND_INS.items()}


@dataclasses.dataclass(frozen=True)
class SubwordTokenizer:
    """A tokenizer that splits text with a trained sentencepiece model.

    Example:
        >>> pieces = train_subwords(["low lower lowest"] * 9, size=16)
        >>> pieces.decode(pieces.encode("lower"))
        'lower'
    """

    model: bytes = dataclasses.field(repr=False)
    """The model, serialized by sentencepiece."""

    @functools.cached_property
    def _processor(self) -> Any:
        require("sentencepiece", extra="text")
        import sentencepiece

        return sentencepiece.SentencePieceProcessor(model_proto=self.model)

    @property
    def size(self) -> int:
        """The number of tokens, special ones included."""
        return self._processor.get_piece_size()

    @property
    def vocabulary(self) -> list[str]:
        """The piece of each number; `▁` is the blank before a word."""
        return [piece.translate(_ORIGINALS) for piece in self._pieces]

    @functools.cached_property
    def _pieces(self) -> list[str]:
        numbers = range(len(SPECIALS), self.size)
        return [*SPECIALS, *map(self._processor.id_to_piece, numbers)]

    def tokens(self, text: str) -> list[str]:
        """Split a normalized text into pieces, for display."""
        pieces = self._processor.encode(text.translate(_STAND_INS), out_type=str)
        return [piece.translate(_ORIGINALS) for piece in pieces]

    def encode(self, text: str) -> list[int]:
        """Return the number of each piece; of the special ones, only `UNKNOWN` occurs."""
        return self._processor.encode(text.translate(_STAND_INS), out_type=int)

    def decode(self, ids: Iterable[SupportsInt]) -> str:
        """Return the text of numbers up to the first `END`, without `PAD` and `BEGIN`."""
        text = "".join(self._pieces[number] for number in until_end(ids))
        return text.replace("▁", " ").strip(" ").translate(_ORIGINALS)


def train_subwords(sentences: Iterable[str], size: int) -> SubwordTokenizer:
    """Train a unigram model; the same sentences always give the same model.

    Args:
        sentences: The sentences of the training split, normalized.
        size: The most tokens, special ones included. Few sentences give fewer.

    Returns:
        The tokenizer.

    Raises:
        ValueError: If there are more different characters than `size` allows.

    References:
        Kudo, Subword Regularization, 2018, https://arxiv.org/abs/1804.10959.
    """
    require("sentencepiece", extra="text")
    import sentencepiece

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
            # The default limit skips long sentences silently.
            max_sentence_length=2**30,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ValueError(
            f"vocabulary_size={size} is too small for these sentences: sentencepiece says {error}; "
            "raise it, or choose level 'words'."
        ) from error
    return SubwordTokenizer(model.getvalue())
