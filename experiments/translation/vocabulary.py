"""The tokenizers and lengths of a translation run, written to the run's folder.

With them a run translates without its training pairs, and is not resumed on different ones.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.stored import restore_tokenizer, store_tokenizer
from attn_jax.tasks.translation.tokens import SPECIALS, Tokenizer
from attn_jax.train.disk.stored import StoredFileError, read_json, write_json
from experiments.translation.scores import longest_target

_NAME = "vocabulary.json"
# The name of the file, and of its entries, in runs of version 0.1.0.
_OLD_NAME = "wording.json"
_OLD_ENTRIES = {"read": "source_lengths", "written": "max_target_length"}
_SHOWN = 5
# Far longer than any sentence, and short enough for its arrays to fit into memory.
_MAX_LENGTH = 2**16


class Vocabulary(NamedTuple):
    """The tokenizers of both sides, and the lengths of sentences.

    Attributes:
        source: Tokenizer of the source.
        target: Tokenizer of the target.
        source_lengths: Lengths that sources were padded to, ascending.
        max_target_length: The most tokens of a translation, the end included.
        pairs: Digest of all pairs and the splits they are in.
    """

    source: Tokenizer
    target: Tokenizer
    source_lengths: list[int]
    max_target_length: int
    pairs: str


def make_vocabulary(
    task: Any, splits: Mapping[str, Sequence[Mapping[str, np.ndarray]]]
) -> Vocabulary:
    """Return the vocabulary of a task, whose buckets `splits` are."""
    return Vocabulary(
        task.source_tokenizer,
        task.target_tokenizer,
        sorted({bucket["source"].shape[1] for bucket in splits["train"]}),
        longest_target(splits),
        digest({split: task.examples(split) for split in splits}),
    )


def write_vocabulary(run: Path, vocabulary: Vocabulary) -> None:
    """Write a vocabulary to the run's folder."""
    sides = {"source": vocabulary.source, "target": vocabulary.target}
    stored = {side: store_tokenizer(tokenizer) for side, tokenizer in sides.items()}
    write_json(run / _NAME, vocabulary._asdict() | stored, ensure_ascii=False)


def digest(splits: Mapping[str, Iterable[Example]]) -> str:
    """Return the sha256 of the texts of all pairs, in their order."""
    sha256 = hashlib.sha256()
    for split, pairs in splits.items():
        texts = [[pair.source_text, pair.target_text] for pair in pairs]
        sha256.update(json.dumps([split, texts]).encode())
    return sha256.hexdigest()


def read_vocabulary(run: Path) -> Vocabulary:
    """Read the vocabulary that a run was trained with.

    Args:
        run: The run's folder.

    Raises:
        FileNotFoundError: If the run has none.
        ValueError: If it cannot be read.
    """
    path = next((path for name in (_NAME, _OLD_NAME) if (path := run / name).exists()), None)
    if path is None:
        raise FileNotFoundError(
            f"there is no {run / _NAME}: the run is older than that file, or is not of a "
            "translation_* experiment; train again."
        )
    try:
        return _parse(read_json(path, dict))
    except StoredFileError as error:
        raise StoredFileError(f"{error}; train again.") from error
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise StoredFileError(f"{path} cannot be read ({error!r}); train again.") from error


def _parse(stored: dict[str, Any]) -> Vocabulary:
    entries = {_OLD_ENTRIES.get(name, name): value for name, value in stored.items()}
    source, target = (restore_tokenizer(entries[side]) for side in ("source", "target"))
    # Computing the sizes shows here, and not later, that a tokenizer cannot be used.
    if min(source.size, target.size) <= len(SPECIALS):
        raise ValueError("a side has no tokens")
    max_length = int(entries["max_target_length"])
    lengths = sorted(int(length) for length in entries["source_lengths"])
    if not all(0 < length <= _MAX_LENGTH for length in (*lengths, max_length)):
        raise ValueError(f"its lengths must be from 1 to {_MAX_LENGTH}")
    if not isinstance(entries["pairs"], str):
        raise TypeError("the digest of its pairs is not text")
    return Vocabulary(source, target, lengths or [max_length], max_length, entries["pairs"])


def check_vocabulary(run: Path, current: Vocabulary) -> None:
    """Check that a task's tokens and pairs are those that a run was trained with.

    Args:
        run: The run's folder.
        current: The task's vocabulary.

    Raises:
        ValueError: If tokens or pairs differ, with the difference.
    """
    stored = read_vocabulary(run)
    sides = (
        ("source", stored.source, current.source),
        ("target", stored.target, current.target),
    )
    for side, before, after in sides:
        if before.vocabulary != after.vocabulary:
            raise ValueError(
                f"the {side} vocabulary has changed since {run} was trained: "
                f"{_difference(before.vocabulary, after.vocabulary)}. Restore the data that it was "
                "trained on, or train again."
            )
    if stored.pairs != current.pairs:
        raise ValueError(
            f"the pairs have changed since {run} was trained, or their order, though not the "
            "tokens. Restore the data that it was trained on, or train again."
        )


def _difference(before: Sequence[str], after: Sequence[str]) -> str:
    lost, new = sorted({*before} - {*after}), sorted({*after} - {*before})
    changes = [f"it had {len(before)} tokens and now has {len(after)}"]
    for what, tokens in (("missing now", lost), ("new", new)):
        if tokens:
            more = f" and {len(tokens) - _SHOWN} more" if len(tokens) > _SHOWN else ""
            changes.append(f"{what}: {', '.join(map(repr, tokens[:_SHOWN]))}{more}")
    pairs = enumerate(zip(before, after, strict=False))
    index = next((number for number, pair in pairs if pair[0] != pair[1]), None)
    if index is not None:
        changes.append(f"token {index} was {before[index]!r} and is {after[index]!r}")
    return "; ".join(changes)
