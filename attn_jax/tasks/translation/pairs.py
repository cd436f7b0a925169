"""Pairs of real sentences: which are the same, and which split each goes to."""

import dataclasses
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.tokens import normalize

__all__ = ["Corpus", "drop_duplicates", "pair_key", "sentence_key", "split_pairs"]

_SHARE = 10
_OF_NUMBER = re.compile(r"(?<=\d)[.,:/-](?=\d)|(?<!\w)[-−](?=\d)")


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Examples by split, and what was left out."""

    splits: dict[str, list[Example]]
    """The examples of ``train``, ``validation`` and ``test``."""

    skipped: Counter[str] = dataclasses.field(default_factory=Counter)
    """How many pairs were left out, by reason."""


def sentence_key(text: str) -> str:
    """What sentences that count as the same have in common: neither case, blanks nor punctuation.

    Args:
        text: A sentence.

    Returns:
        Its letters, digits, marks and symbols, and what numbers are written with: the minus before
        one, and marks within.

    Example:
        >>> sentence_key("L' Été !") == sentence_key("l’été"), sentence_key("1.5") == "15"
        (True, False)
    """
    folded = normalize(text).casefold()
    kept = [
        char
        for at, char in enumerate(folded)
        if unicodedata.category(char)[0] in "LNMS" or _OF_NUMBER.match(folded, at)
    ]
    return unicodedata.normalize("NFC", "".join(kept))


def pair_key(pair: Example) -> tuple[str, str]:
    """What its source and its target have in common with those that count as the same.

    Args:
        pair: A pair.

    Returns:
        The key of each side.
    """
    return sentence_key(pair.source_text), sentence_key(pair.target_text)


def drop_duplicates(examples: Iterable[Example], skipped: Counter[str]) -> list[Example]:
    """Keeps the first of the pairs whose both sides count as the same.

    Args:
        examples: The pairs.
        skipped: Where those left out are counted.

    Returns:
        The others, in their order.
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
    """Shares pairs out at random; those that share a sentence, on either side, stay together.

    Args:
        examples: Without duplicates.
        validation: How many to select by, though at most a tenth.
        test: How many to be judged by, though at most a tenth.
        seed: Of the order.
        origin: What an error calls the pairs.

    Returns:
        ``train``, ``validation`` and ``test``.

    Raises:
        ValueError: There are fewer than three that share no sentence.
    """
    groups = _sharing(examples)
    if len(groups) < 3:
        raise ValueError(
            f"{origin} has {len(examples)} usable pairs, in {len(groups)} groups that share no "
            "sentence; training, validation and test need one each, so at least 3: add some."
        )
    order = np.random.default_rng(seed).permutation(len(groups))
    shuffled = [groups[place] for place in order]
    most = max(1, len(examples) // _SHARE)
    splits = {}
    for split, count in (("test", test), ("validation", validation)):
        splits[split] = _take(shuffled, min(count, most))
    rest = [pair for group in shuffled for pair in group]
    return {"train": rest, "validation": splits["validation"], "test": splits["test"]}


def _sharing(examples: Sequence[Example]) -> list[list[Example]]:
    """Groups of pairs that sentences join, directly or through others."""
    sentences: dict[tuple[str, str], int] = {}
    ends = [
        [sentences.setdefault(key, len(sentences)) for key in (("s", source), ("t", target))]
        for source, target in map(pair_key, examples)
    ]
    sources, targets = np.array(ends, np.int32).reshape(-1, 2).T
    joined = coo_array((np.ones(len(ends)), (sources, targets)), shape=(len(sentences),) * 2)
    _, group = connected_components(joined, directed=False)
    groups: dict[int, list[Example]] = {}
    for pair, source in zip(examples, sources, strict=True):
        groups.setdefault(int(group[source]), []).append(pair)
    return list(groups.values())


def _take(groups: list[list[Example]], count: int) -> list[Example]:
    """Takes whole groups from the end: as many pairs as wanted at most, but for a first group.

    Those taken are removed; what is too large for the rest of the count stays.
    """
    taken: list[Example] = []
    for at in reversed(range(len(groups))):
        if len(taken) + len(groups[at]) <= count:
            taken += groups.pop(at)
    return taken or groups.pop(min(range(len(groups)), key=lambda at: len(groups[at])))
