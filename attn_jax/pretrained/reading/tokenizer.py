"""The tokenizer of a checkpoint."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.reading.sentence_pieces import has_sentence_pieces, read_sentence_pieces


class Tokenizer:
    """Texts to numbers and back, as the checkpoint's own rules say; texts keep their own length.

    Attributes:
        pad: The number that fills up shorter texts.
        limit: The most tokens that the model takes.
    """

    def __init__(self, rules: Any, *, pad: int, limit: int) -> None:
        self._rules = rules
        self.pad = pad
        self.limit = limit

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return token numbers, filled up on the right, and which of them exist.

        Args:
            texts: One or more texts.

        Returns:
            `(batch, tokens)` int32, and `(batch, tokens)` booleans.

        Raises:
            PretrainedError: If there is no text, an empty one, or one that is too long.
        """
        if isinstance(texts, str) or not texts:
            raise PretrainedError(f"encode takes a list of texts, not {texts!r}.")
        for i, text in enumerate(texts):
            if not text.strip():
                raise PretrainedError(f"text {i} is empty; a model needs at least one word.")
        rows = [encoding.ids for encoding in self._rules.encode_batch(list(texts))]
        for i, row in enumerate(rows):
            if len(row) > self.limit:
                raise PretrainedError(
                    f"text {i} has {len(row)} tokens, and the model takes {self.limit}; shorten it."
                )
        length = max(len(row) for row in rows)
        tokens = np.full((len(rows), length), self.pad, np.int32)
        exists = np.zeros((len(rows), length), bool)
        for i, row in enumerate(rows):
            tokens[i, : len(row)], exists[i, : len(row)] = row, True
        return tokens, exists

    def plain(self, text: str) -> list[int]:
        """Return the token numbers of a text, without the special ones that belong around it."""
        return self._rules.encode(text, add_special_tokens=False).ids

    def number(self, piece: str) -> int | None:
        """Return the number of a piece as the vocabulary writes it, or None if it has none."""
        return self._rules.token_to_id(piece)

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """Return the pieces of text that numbers stand for, as the vocabulary writes them."""
        return [self._rules.id_to_token(int(token)) or "" for token in tokens]

    def shown(self, tokens: Sequence[int]) -> list[str]:
        """Return the pieces of text as people read them, without the marks of a vocabulary.

        A line break is shown as ⏎, a tab as ⇥ and a blank alone as ␣; `##` stays, as it says that a
        piece goes on with the word before it. A piece that is no text by itself, such as half a
        character, is shown as the vocabulary writes it.
        """
        return [self._shown(int(token)) for token in tokens]

    def _shown(self, token: int) -> str:
        piece = self._rules.id_to_token(token) or ""
        text = self._rules.decode([token], skip_special_tokens=False)
        if not text or "\ufffd" in text or piece.startswith("##"):
            return piece
        return text.replace("\n", "⏎").replace("\t", "⇥").strip() or "␣"

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of some tokens, without the special ones."""
        return self._rules.decode([int(token) for token in tokens], skip_special_tokens=True)


def import_tokenizers() -> Any:
    """Import the package tokenizers.

    Raises:
        PretrainedError: If it is not installed.
    """
    try:
        import tokenizers
    except ImportError as error:
        raise PretrainedError(
            "reading texts needs the package tokenizers: pip install 'attn-jax[hub]'."
        ) from error
    return tokenizers


def read_rules(folder: Path, side: Literal["source", "target"] = "source") -> Any:
    """Read `tokenizer.json`, or the two sentencepiece models of a translator.

    Args:
        folder: The folder of a checkpoint.
        side: Whether the texts are those that a translator reads or those that it writes.

    Raises:
        PretrainedError: If there is neither, or a file is damaged.
    """
    path = folder / "tokenizer.json"
    if not path.is_file() and has_sentence_pieces(folder):
        return read_sentence_pieces(folder, side)
    if not path.is_file():
        raise PretrainedError(f"{folder} has no tokenizer.json; {_way_out(folder)}")
    tokenizers = import_tokenizers()
    try:
        rules = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises plain exceptions
        raise PretrainedError(f"{path} is damaged: {error}; fetch it again.") from error
    # A file may set both, to lengths that need not be the model's.
    rules.no_truncation()
    rules.no_padding()
    return rules


def _way_out(folder: Path) -> str:
    if not any((folder / name).is_file() for name in _SLOW_FILES):
        return "fetch the checkpoint again."
    return (
        "make it where transformers is installed: "
        "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)."
    )


# What transformers makes a tokenizer.json of.
_SLOW_FILES = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "vocab.json")
_SLOW_FILES += ("vocab.txt",)
