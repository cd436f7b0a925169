"""Pairs out of any set of TensorFlow Datasets (TFDS) whose examples are a `Translation`."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

from attn_jax.tasks.tfds_sets import open_builder, prepare_builder, read_examples
from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.pairs import Corpus, drop_duplicates, pair_key, split_pairs
from attn_jax.tasks.translation.tokens import normalize

__all__ = ["read_tfds_pairs"]

_SPLITS = ("test", "validation", "train")


def read_tfds_pairs(
    name: str,
    languages: tuple[str, str] | None,
    folder: Path | None,
    *,
    validation: int,
    test: int,
    seed: int,
) -> Corpus:
    """Reads a set by the name that TFDS knows it by.

    Its own splits are kept where it has all three; pairs with a sentence of its test split are left
    out of the others, and those with one of its validation split out of training. Another set's
    splits are put together and shared out anew.

    Args:
        name: As ``ted_hrlr_translate/pt_to_en``.
        languages: From and to; None for what the set is made to learn.
        folder: Where TFDS keeps prepared sets; None for its own choice.
        validation: How many pairs to select by, where the set does not say.
        test: How many to be judged by, where the set does not say.
        seed: Of how they are shared out.

    Returns:
        The pairs without tokens.

    Raises:
        FileNotFoundError: TFDS knows no such set, or it is not prepared and cannot be.
        ValueError: Its examples are no translations, or not between these languages.
    """
    # TFDS knows of half of its translation sets only when these are imported.
    import tensorflow_datasets.translate  # noqa: F401

    builder = open_builder(name, folder)
    source, target = _languages(builder.info, languages, name)
    prepare_builder(builder, name, "write its pairs to a file and choose the task tsv")
    skipped: Counter[str] = Counter()
    own = {}
    for split in builder.info.splits:
        read = read_examples(builder, split, name)
        pairs = [_pair(example[source], example[target]) for example in read]
        full = [pair for pair in pairs if pair.source_text and pair.target_text]
        if len(full) < len(pairs):
            skipped["pairs with an empty side"] += len(pairs) - len(full)
        own[split] = drop_duplicates(full, skipped)
    if not set(_SPLITS) <= set(own):
        pairs = drop_duplicates((pair for split in own.values() for pair in split), skipped)
        counts = {"validation": validation, "test": test, "seed": seed}
        return Corpus(split_pairs(pairs, origin=f"TFDS {name}", **counts), skipped)
    return Corpus(_disjoint(own, skipped), skipped)


def _languages(info: Any, languages: tuple[str, str] | None, name: str) -> tuple[str, str]:
    import tensorflow_datasets as tfds

    if not isinstance(info.features, tfds.features.Translation):
        raise ValueError(
            f"TFDS {name} has the features {info.features}; a set of pairs has a Translation, as "
            "ted_hrlr_translate/pt_to_en has."
        )
    known = tuple(info.features)
    chosen = tuple(languages or info.supervised_keys or ())
    if len(set(chosen)) != 2 or not set(chosen) <= set(known):
        raise ValueError(
            f"languages={languages} must be two of those that TFDS {name} has: {', '.join(known)}."
        )
    return chosen[0], chosen[1]


def _pair(source: Any, target: Any) -> Example:
    texts = (text.decode() if isinstance(text, bytes) else str(text) for text in (source, target))
    source_text, target_text = map(normalize, texts)
    return Example((), (), source_text=source_text, target_text=target_text)


def _disjoint(own: dict[str, list[Example]], skipped: Counter[str]) -> dict[str, list[Example]]:
    met: tuple[set[str], set[str]] = set(), set()
    splits = {}
    for split in _SPLITS:
        keys = [pair_key(pair) for pair in own[split]]
        new = [not any(side in seen for side, seen in zip(key, met, strict=True)) for key in keys]
        splits[split] = list(itertools.compress(own[split], new))
        if not all(new):
            skipped[f"of {split}, with a sentence of a later split"] += new.count(False)
        for seen, sides in zip(met, zip(*keys, strict=True), strict=False):
            seen.update(sides)
    return {split: splits[split] for split in reversed(_SPLITS)}
