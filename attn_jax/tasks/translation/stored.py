"""Tokenizers as JSON, so that a model can translate without its training pairs."""

import base64
import dataclasses
from collections.abc import Mapping
from typing import Any, get_args

from attn_jax.tasks.translation.subwords import SubwordTokenizer
from attn_jax.tasks.translation.tokens import Level, Tokenizer, VocabularyTokenizer

__all__ = ["restore_tokenizer", "store_tokenizer"]


def store_tokenizer(tokenizer: Tokenizer) -> dict[str, Any]:
    """Convert a tokenizer to JSON values.

    Args:
        tokenizer: A tokenizer of this library.

    Returns:
        `level` and `known`, or `sentencepiece`, the serialized model in base64.

    Raises:
        TypeError: If it is another kind of tokenizer.

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
    """Make the tokenizer that was stored.

    Args:
        stored: The values that `store_tokenizer` returned.

    Returns:
        The tokenizer.

    Raises:
        KeyError: If a value is missing.
        ValueError: If the level is unknown, a token is no text or is there twice, or a model cannot
            be read.

    Example:
        >>> restore_tokenizer({"level": "characters", "known": ["a", "b"]}).encode("ba")
        [5, 4]
    """
    if "sentencepiece" in stored:
        return SubwordTokenizer(base64.b64decode(stored["sentencepiece"]))
    level, known = stored["level"], stored["known"]
    if level not in get_args(Level) or not isinstance(known, list | tuple):
        raise ValueError(f"level must be one of {get_args(Level)}, and known a list of tokens")
    if not all(isinstance(token, str) for token in known) or len({*known}) < len(known):
        raise ValueError("known must be a list of different tokens")
    return VocabularyTokenizer(level, tuple(known))
