"""Duplicates among pairs of real sentences, and their splits."""

import dataclasses
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.tokens import normalize

__all__ = ["Corpus", "drop_duplicates", "pair_key", "sentence_key", "split_pairs"]

_MAX_SHARE = 10
_IN_NUMBER = re.compile(r"(?<=\d)[.,:/-](?=\d)|(?<!\w)[-−](?=\d)")


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Examples by split, and counts of the pairs left out."""

    splits: dict[str, list[Example]]
    """The examples of `train`, `validation` and `test`."""

    skipped: Counter[str] = dataclasses.field(default_factory=Counter)
    """The number of pairs left out, by reason."""


def sentence_key(text: str) -> str:
    """Reduce a sentence to what sentences that count as the same share.

    Case, blanks and punctuation do not matter, but for the punctuation of numbers.

    Args:
        text: A sentence.

    Returns:
        Its letters, digits, marks and symbols, and in numbers the minus sign and the punctuation
        between digits.

    Example:
        >>> sentence_key("L' Été !") == sentence_key("l’été"), sentence_key("1.5") == "15"
        (True, False)
    """
    folded = normalize(text).casefold()
    chars = [
        char
        for index, char in enumerate(folded)
        if unicodedata.category(char)[0] in "LNMS" or _IN_NUMBER.match(folded, index)
    ]
    return unicodedata.normalize("NFC", "".join(chars))


def pair_key(pair: Example) -> tuple[str, str]:
    """Return the keys of both sides of a pair.

    Args:
        pair: A pair.

    Returns:
        The `sentence_key` of the source and of the target.
    """
    return sentence_key(pair.source_text), sentence_key(pair.target_text)


def drop_duplicates(examples: Iterable[Example], skipped: Counter[str]) -> list[Example]:
    """Keep the first of the pairs whose sides both count as the same.

    Args:
        examples: The pairs.
        skipped: The counter that the others are added to.

    Returns:
        The pairs without duplicates, in their order.
    """
    first: dict[tuple[str, str], Example] = {}
    total = 0
    for pair in examples:
        total += 1
        first.setdefault(pair_key(pair), pair)
    if total > len(first):
        skipped["duplicates"] += total - len(first)
    return list(first.values())


def split_pairs(
    examples: Sequence[Example], *, validation: int, test: int, seed: int, origin: str
) -> dict[str, list[Example]]:
    """Split pairs at random; pairs that share a sentence on either side stay in one split.

    Args:
        examples: The pairs, without duplicates.
        validation: The number of validation pairs, at most a tenth of all.
        test: The number of test pairs, at most a tenth of all.
        seed: The seed for the order of the pairs.
        origin: The name of the pairs in errors.

    Returns:
        `train`, `validation` and `test`.

    Raises:
        ValueError: If fewer than three groups of pairs share no sentence.
    """
    groups = _group_by_sentences(examples)
    if len(groups) < 3:
        raise ValueError(
            f"{origin} has {len(examples)} usable pairs, in {len(groups)} groups that share no "
            "sentence; training, validation and test need one each, so at least 3: add pairs."
        )
    order = np.random.default_rng(seed).permutation(len(groups))
    shuffled = [groups[place] for place in order]
    limit = max(1, len(examples) // _MAX_SHARE)
    splits = {}
    for split, count in (("test", test), ("validation", validation)):
        splits[split] = _take(shuffled, min(count, limit))
    train = [pair for group in shuffled for pair in group]
    return {"train": train, "validation": splits["validation"], "test": splits["test"]}


def _group_by_sentences(examples: Sequence[Example]) -> list[list[Example]]:
    """Group pairs that share a sentence, directly or through other pairs."""
    from scipy.sparse import coo_array  # slow to import, and used only here
    from scipy.sparse.csgraph import connected_components

    sentences: dict[tuple[str, str], int] = {}
    ends = [
        [sentences.setdefault(key, len(sentences)) for key in (("s", source), ("t", target))]
        for source, target in map(pair_key, examples)
    ]
    sources, targets = np.array(ends, np.int32).reshape(-1, 2).T
    edges = coo_array((np.ones(len(ends)), (sources, targets)), shape=(len(sentences),) * 2)
    _, group = connected_components(edges, directed=False)
    groups: dict[int, list[Example]] = {}
    for pair, source in zip(examples, sources, strict=True):
        groups.setdefault(int(group[source]), []).append(pair)
    return list(groups.values())


def _take(groups: list[list[Example]], count: int) -> list[Example]:
    """Remove whole groups from the end and return their pairs, at most `count` of them.

    A group that is too large stays. If all are, the smallest is taken.
    """
    pairs: list[Example] = []
    for index in reversed(range(len(groups))):
        if len(pairs) + len(groups[index]) <= count:
            pairs += groups.pop(index)
    return pairs or groups.pop(min(range(len(groups)), key=lambda index: len(groups[index])))
