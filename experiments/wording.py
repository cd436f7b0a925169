"""What a translator reads and writes with, kept in the run's folder.

So a run translates where its training pairs are not, and is not resumed on changed ones.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from attn_jax.tasks.translation.stored import restore_tokenizer, store_tokenizer
from attn_jax.tasks.translation.tokens import Tokenizer
from attn_jax.train.manifest import write_atomically

_NAME = "wording.json"
_SHOWN = 5


class Wording(NamedTuple):
    """The tokens of both sides, and how many a sentence has.

    Attributes:
        source: Splits what is read.
        target: Puts together what is written.
        read: What sources were padded to, the least first.
        written: The most tokens of a translation, the end included.
    """

    source: Tokenizer
    target: Tokenizer
    read: list[int]
    written: int


def keep(run: Path, wording: Wording) -> None:
    """Write it down, once."""
    path = run / _NAME
    if not path.exists():
        sides = {"source": wording.source, "target": wording.target}
        stored = {side: store_tokenizer(tokenizer) for side, tokenizer in sides.items()}
        kept = {**stored, "read": wording.read, "written": wording.written}
        write_atomically(path, json.dumps(kept, ensure_ascii=False))


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
            f"there is no {path}: no epoch of the run has ended, or it is older than that file; "
            "resume it, or train again."
        )
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        source, target = (restore_tokenizer(kept[side]) for side in ("source", "target"))
        return Wording(source, target, kept["read"], kept["written"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error!r}); train again.") from error


def check(run: Path, source: Tokenizer, target: Tokenizer) -> None:
    """Compare tokenisers with those of a run.

    Args:
        run: Its folder; before the first epoch has ended there is nothing to compare.
        source: As it is now.
        target: As it is now.

    Raises:
        ValueError: If they have other tokens, with the difference.
    """
    if not (run / _NAME).exists():
        return
    kept = read(run)
    for side, before, now in (("source", kept.source, source), ("target", kept.target, target)):
        if before.vocabulary != now.vocabulary:
            raise ValueError(
                f"the {side} vocabulary has changed since {run} was trained: "
                f"{_difference(before.vocabulary, now.vocabulary)}. Bring the data back that it "
                "was trained on, or train again."
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
