"""Tokenisers as JSON, so that a model reads and writes where its training pairs are not."""

import base64
import dataclasses
from collections.abc import Mapping
from typing import Any

from attn_jax.tasks.translation.subwords import SubwordTokenizer
from attn_jax.tasks.translation.tokens import Tokenizer, VocabularyTokenizer

__all__ = ["restore_tokenizer", "store_tokenizer"]


def store_tokenizer(tokenizer: Tokenizer) -> dict[str, Any]:
    """Says all of a tokeniser in terms of JSON.

    Args:
        tokenizer: One of this library's.

    Returns:
        `level` and `known`, or the base64 of sentencepiece's own form as `sentencepiece`.

    Raises:
        TypeError: It is another kind of tokeniser.

    Example:
        >>> store_tokenizer(VocabularyTokenizer("characters", ("a", "b")))
        {'level': 'characters', 'known': ('a', 'b')}
    """
    if isinstance(tokenizer, SubwordTokenizer):
        return {"sentencepiece": base64.b64encode(tokenizer.model).decode("ascii")}
    if isinstance(tokenizer, VocabularyTokenizer):
        return dataclasses.asdict(tokenizer)
    raise TypeError(
        f"{type(tokenizer).__name__} cannot be stored; SubwordTokenizer and VocabularyTokenizer "
        "can."
    )


def restore_tokenizer(stored: Mapping[str, Any]) -> Tokenizer:
    """Makes a tokeniser that splits and joins as the stored one did.

    Args:
        stored: What `store_tokenizer` returned.

    Returns:
        The tokeniser.

    Raises:
        KeyError: It says something else.

    Example:
        >>> restore_tokenizer({"level": "characters", "known": ["a", "b"]}).encode("ba")
        [5, 4]
    """
    if "sentencepiece" in stored:
        return SubwordTokenizer(base64.b64decode(stored["sentencepiece"]))
    return VocabularyTokenizer(stored["level"], tuple(stored["known"]))
