"""Pairs with tokens, and the tokenizers trained on their training split."""

import dataclasses
from collections import Counter
from typing import Literal

from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.pairs import Corpus
from attn_jax.tasks.translation.subwords import train_subwords
from attn_jax.tasks.translation.tokens import Level, Tokenizer, split_tokens, train_vocabulary

__all__ = ["Tokenized", "tokenize"]


@dataclasses.dataclass(frozen=True)
class Tokenized:
    """Examples with tokens, and the tokenizers that split them."""

    splits: dict[str, list[Example]]
    """The examples of each split."""

    source_tokenizer: Tokenizer
    """The tokenizer of the sources."""

    target_tokenizer: Tokenizer
    """The tokenizer of the targets."""

    skipped: Counter[str]
    """The number of pairs left out, by reason."""

    def encode(self, pair: Example) -> tuple[list[int], list[int]]:
        """Return the numbers of both sides, without the end token.

        Args:
            pair: An example.

        Returns:
            The numbers of the source tokens and of the target tokens.
        """
        return (
            self.source_tokenizer.encode(pair.source_text),
            self.target_tokenizer.encode(pair.target_text),
        )


def tokenize(
    corpus: Corpus,
    level: Level | Literal["subwords"],
    max_size: int | None = None,
    max_length: int | None = None,
) -> Tokenized:
    """Train a tokenizer for each side on the training split, and split all pairs.

    Args:
        corpus: The pairs. Those that have tokens keep them.
        level: The level of the tokens.
        max_size: The largest vocabulary of each side. None takes all tokens, and is not for
            subwords.
        max_length: The most tokens on either side. Longer pairs are left out and counted.

    Returns:
        The pairs with their tokens.

    Raises:
        ValueError: If a split is left empty, or the tokens of a pair differ from its text.
    """
    source, target = (_train(corpus, side, level, max_size) for side in ("source", "target"))
    skipped = Counter(corpus.skipped)
    splits = {}
    for split, pairs in corpus.splits.items():
        full = [_with_tokens(pair, source, target) for pair in pairs]
        splits[split] = [pair for pair in full if _longest(pair) <= (max_length or _longest(pair))]
        if len(full) > len(splits[split]):
            skipped[f"longer than max_length={max_length} tokens"] += len(full) - len(splits[split])
        if not splits[split]:
            raise ValueError(
                f"max_length={max_length} {level} leaves none of the {len(full)} pairs of the "
                f"{split} split; raise it."
            )
    return Tokenized(splits, source, target, skipped)


def _longest(pair: Example) -> int:
    return max(len(pair.source), len(pair.target))


def _train(
    corpus: Corpus, side: str, level: Level | Literal["subwords"], max_size: int | None
) -> Tokenizer:
    texts = [getattr(pair, f"{side}_text") for pair in corpus.splits["train"]]
    if level == "subwords":
        assert max_size is not None
        return train_subwords(texts, max_size)
    return train_vocabulary((split_tokens(text, level) for text in texts), level, max_size)


def _with_tokens(pair: Example, source: Tokenizer, target: Tokenizer) -> Example:
    tokens = tuple(source.tokens(pair.source_text)), tuple(target.tokens(pair.target_text))
    if not pair.source:
        return dataclasses.replace(pair, source=tokens[0], target=tokens[1])
    for linked, split in zip((pair.source, pair.target), tokens, strict=True):
        if linked != split:
            raise ValueError(
                f"the links count the tokens {linked}, but the text splits into {split}; choose "
                "the level that the links were made for."
            )
    return pair
