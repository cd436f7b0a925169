"""What a translator reads and writes with, kept in the run's folder.

So a run translates where its training pairs are not, and is not resumed on changed ones.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.stored import restore_tokenizer, store_tokenizer
from attn_jax.tasks.translation.tokens import SPECIALS, Tokenizer
from attn_jax.train.disk.manifest import write_atomically

_NAME = "wording.json"
_SHOWN = 5


class Wording(NamedTuple):
    """The tokens of both sides, and how many a sentence has.

    Attributes:
        source: Splits what is read.
        target: Puts together what is written.
        read: What sources were padded to, the least first.
        written: The most tokens of a translation, the end included.
        pairs: A digest of all pairs and the splits they are in.
    """

    source: Tokenizer
    target: Tokenizer
    read: list[int]
    written: int
    pairs: str


def keep(run: Path, wording: Wording) -> None:
    """Write it down."""
    sides = {"source": wording.source, "target": wording.target}
    stored = {side: store_tokenizer(tokenizer) for side, tokenizer in sides.items()}
    kept = wording._asdict() | stored
    write_atomically(run / _NAME, json.dumps(kept, ensure_ascii=False))


def digest(splits: Mapping[str, Iterable[Example]]) -> str:
    """The sha256 of the texts of all pairs, in their order."""
    found = hashlib.sha256()
    for split, pairs in splits.items():
        texts = [[pair.source_text, pair.target_text] for pair in pairs]
        found.update(json.dumps([split, texts]).encode())
    return found.hexdigest()


def read(run: Path) -> Wording:
    """What a run was trained with.

    Args:
        run: Its folder.

    Raises:
        FileNotFoundError: If it has not been kept.
        ValueError: If it cannot be read.
    """
    path = run / _NAME
    if not path.exists():
        raise FileNotFoundError(
            f"there is no {path}: the run is older than that file, or was not made by an "
            "experiment translation_*; train again."
        )
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        source, target = (restore_tokenizer(kept[side]) for side in ("source", "target"))
        # Their sizes are asked here, so that what cannot be used is told here.
        if min(source.size, target.size) <= len(SPECIALS):
            raise ValueError("a side has no tokens")
        read_lengths, written = [int(length) for length in kept["read"]], int(kept["written"])
        return Wording(source, target, sorted(read_lengths) or [written], written, kept["pairs"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read ({error!r}); train again.") from error


def check(run: Path, now: Wording) -> None:
    """Compare what a task has with what a run was trained with.

    Args:
        run: Its folder.
        now: Of the task.

    Raises:
        ValueError: If tokens or pairs differ, with the difference.
    """
    kept = read(run)
    sides = (("source", kept.source, now.source), ("target", kept.target, now.target))
    for side, before, after in sides:
        if before.vocabulary != after.vocabulary:
            raise ValueError(
                f"the {side} vocabulary has changed since {run} was trained: "
                f"{_difference(before.vocabulary, after.vocabulary)}. Bring the data back that it "
                "was trained on, or train again."
            )
    if kept.pairs != now.pairs:
        raise ValueError(
            f"the pairs have changed since {run} was trained, or their order, though not the "
            "tokens. Bring the data back that it was trained on, or train again."
        )


def _difference(kept: Sequence[str], now: Sequence[str]) -> str:
    lost, new = sorted({*kept} - {*now}), sorted({*now} - {*kept})
    told = [f"it had {len(kept)} tokens and has {len(now)}"]
    for what, tokens in (("lacking now", lost), ("new", new)):
        if tokens:
            more = f" and {len(tokens) - _SHOWN} more" if len(tokens) > _SHOWN else ""
            told.append(f"{what} are {', '.join(map(repr, tokens[:_SHOWN]))}{more}")
    pairs = enumerate(zip(kept, now, strict=False))
    at = next((number for number, pair in pairs if pair[0] != pair[1]), None)
    if at is not None:
        told.append(f"number {at} was {kept[at]!r} and is {now[at]!r}")
    return "; ".join(told)
