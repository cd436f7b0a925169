"""The vocabularies a run was trained with, kept in its folder and compared when it is reopened."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_NAME = "vocabulary.json"
_SHOWN = 5


def keep(run: Path, task: Any) -> None:
    """Write down the tokens of both sides, by number."""
    path = run / _NAME
    if not path.exists():
        path.write_text(json.dumps(_tokens(task), ensure_ascii=False), encoding="utf-8")


def check(run: Path, task: Any) -> None:
    """Compare the task's vocabularies with those of a run.

    Args:
        run: Its folder; before the first epoch has ended there is nothing to compare.
        task: The task as it is now.

    Raises:
        ValueError: If they differ, with the difference.
    """
    path = run / _NAME
    if not path.exists():
        return
    kept = json.loads(path.read_text(encoding="utf-8"))
    for side, now in _tokens(task).items():
        if kept[side] != now:
            raise ValueError(
                f"the {side} vocabulary has changed since {run} was trained: "
                f"{_difference(kept[side], now)}. Bring the data back that it was trained on, or "
                "train again."
            )


def _tokens(task: Any) -> dict[str, list[str]]:
    sides = {"source": task.source_tokenizer, "target": task.target_tokenizer}
    return {side: list(tokenizer.vocabulary) for side, tokenizer in sides.items()}


def _difference(kept: Sequence[str], now: Sequence[str]) -> str:
    lost, new = sorted({*kept} - {*now}), sorted({*now} - {*kept})
    told = [f"it had {len(kept)} tokens and has {len(now)}"]
    for what, tokens in (("lacking now", lost), ("new", new)):
        if tokens:
            more = f" and {len(tokens) - _SHOWN} more" if len(tokens) > _SHOWN else ""
            told.append(f"{what} are {', '.join(map(repr, tokens[:_SHOWN]))}{more}")
    at = next(
        (i for i, pair in enumerate(zip(kept, now, strict=False)) if pair[0] != pair[1]), None
    )
    if at is not None:
        told.append(f"number {at} was {kept[at]!r} and is {now[at]!r}")
    return "; ".join(told)
