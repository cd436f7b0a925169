"""Pairs whose text has become tokens: the tokenisers of a training split, and what they make."""

import dataclasses
from collections import Counter
from typing import Literal

from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.pairs import Corpus
from attn_jax.tasks.translation.subwords import train_subwords
from attn_jax.tasks.translation.tokens import Level, Tokenizer, split_tokens, train_vocabulary

__all__ = ["Tokenised", "tokenise"]


@dataclasses.dataclass(frozen=True)
class Tokenised:
    """Examples with tokens, and what gave them."""

    splits: dict[str, list[Example]]
    """The examples of each split."""

    source_tokenizer: Tokenizer
    """Of the sources."""

    target_tokenizer: Tokenizer
    """Of the targets."""

    skipped: Counter[str]
    """How many pairs were left out, by reason."""

    def encode(self, pair: Example) -> tuple[list[int], list[int]]:
        """The numbers of both sides, without the end.

        Args:
            pair: One of the examples.

        Returns:
            A number for each token of the source, and of the target.
        """
        return (
            self.source_tokenizer.encode(pair.source_text),
            self.target_tokenizer.encode(pair.target_text),
        )


def tokenise(
    corpus: Corpus,
    level: Level | Literal["subwords"],
    largest: int | None = None,
    max_length: int | None = None,
) -> Tokenised:
    """Trains the tokenisers on the training split, and splits all pairs by them.

    Args:
        corpus: The pairs; those that have tokens keep them.
        level: What a token is.
        largest: The most numbers of each side; None for one to each token, of words and smaller.
        max_length: The most tokens of either side; pairs with more are counted and left out.

    Returns:
        The pairs with their tokens.

    Raises:
        ValueError: A split is left empty, or a pair has other tokens than its text.
    """
    source, target = (_train(corpus, side, level, largest) for side in ("source", "target"))
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
    return Tokenised(splits, source, target, skipped)


def _longest(pair: Example) -> int:
    return max(len(pair.source), len(pair.target))


def _train(
    corpus: Corpus, side: str, level: Level | Literal["subwords"], largest: int | None
) -> Tokenizer:
    texts = [getattr(pair, f"{side}_text") for pair in corpus.splits["train"]]
    if level == "subwords":
        assert largest is not None
        return train_subwords(texts, largest)
    return train_vocabulary((split_tokens(text, level) for text in texts), level, largest)


def _with_tokens(pair: Example, source: Tokenizer, target: Tokenizer) -> Example:
    tokens = tuple(source.tokens(pair.source_text)), tuple(target.tokens(pair.target_text))
    if not pair.source:
        return dataclasses.replace(pair, source=tokens[0], target=tokens[1])
    for given, split in zip((pair.source, pair.target), tokens, strict=True):
        if given != split:
            raise ValueError(f"the links count the tokens {given}, but the text has {split}.")
    return pair
