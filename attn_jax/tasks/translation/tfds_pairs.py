"""Pairs from any set of TensorFlow Datasets (TFDS) whose examples are a `Translation`."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

from attn_jax._extras import require
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
    """Read a set of pairs by its name in TFDS.

    A set that has all three splits keeps them, but pairs that share a sentence with the test split
    are left out of the others, and pairs that share one with validation out of training. The pairs
    of any other set are put together and split again.

    Args:
        name: The name, such as `ted_hrlr_translate/pt_to_en`.
        languages: The source and the target language. None uses the set's own choice.
        folder: The folder of prepared TFDS sets. None is `tfds_folder()`.
        validation: The number of validation pairs, if the set does not have all three splits.
        test: The number of test pairs, if the set does not have all three splits.
        seed: The seed for splitting.

    Returns:
        The pairs without tokens.

    Raises:
        FileNotFoundError: If TFDS knows no such set, or the set is not prepared and cannot be.
        ValueError: If its examples are not translations, or not between these languages.
    """
    # TFDS registers half of its translation sets only when this module is imported.
    import tensorflow_datasets.translate  # noqa: F401

    builder = open_builder(name, folder)
    source, target = _languages(builder.info, languages, name)
    prepare_builder(builder, name, "write its pairs to a file and choose the task tsv")
    skipped: Counter[str] = Counter()
    own = {}
    for split in builder.info.splits:
        examples = read_examples(builder, split, name)
        pairs = [_pair(example[source], example[target]) for example in examples]
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
    require("tensorflow_datasets", "array_record", extra="data")
    import tensorflow_datasets as tfds

    if not isinstance(info.features, tfds.features.Translation):
        raise ValueError(
            f"TFDS {name} has the features {info.features}; a set of pairs has a Translation, such "
            "as ted_hrlr_translate/pt_to_en."
        )
    available = tuple(info.features)
    choice = tuple(languages or info.supervised_keys or ())
    if len(set(choice)) != 2 or not set(choice) <= set(available):
        raise ValueError(
            f"languages={languages} must be two of the languages of TFDS {name}: "
            f"{', '.join(available)}."
        )
    return choice[0], choice[1]


def _pair(source: Any, target: Any) -> Example:
    texts = (text.decode() if isinstance(text, bytes) else str(text) for text in (source, target))
    source_text, target_text = map(normalize, texts)
    return Example((), (), source_text=source_text, target_text=target_text)


def _disjoint(own: dict[str, list[Example]], skipped: Counter[str]) -> dict[str, list[Example]]:
    later: tuple[set[str], set[str]] = set(), set()
    splits = {}
    for split in _SPLITS:
        keys = [pair_key(pair) for pair in own[split]]
        is_new = [not any(map(set.__contains__, later, key)) for key in keys]
        splits[split] = list(itertools.compress(own[split], is_new))
        if not all(is_new):
            skipped[f"of {split}, with a sentence of a later split"] += is_new.count(False)
        for sentences, sides in zip(later, zip(*keys, strict=True), strict=False):
            sentences.update(sides)
    return {split: splits[split] for split in reversed(_SPLITS)}
