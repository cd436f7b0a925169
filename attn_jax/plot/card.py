"""Numbers and verdicts of a report card, as plain values for a page."""

import math
from collections.abc import Mapping
from typing import Any

_TEXTS = ("title", "verdict", "reads")
_NUMBERS = ("value", "low", "high", "random", "uniform")
_READS = ("supports", "against", "unclear")
_QUESTIONS = {
    "depends": "Does the output depend on this attention?",
    "ranks": "Does the map's ranking find what matters?",
    "mass": "Does the map's mass show how much?",
}


def card_content(card: Any) -> dict[str, Any]:
    """Return a report card as plain values.

    Args:
        card: Result of `attn_jax.measure.report_card`, or its `to_dict()`: a `verdict` and
            `lines`, each with a `title`, `value`, `low`, `high`, `random`, `uniform`,
            `reads` (`"supports"`, `"against"` or `"unclear"`) and `verdict`. A number
            that is None or not finite is shown as missing. It may have `answers`, each with
            `reads` and `words`, by question (`"depends"`, `"ranks"`, `"mass"`), and `notes`,
            sentences.

    Returns:
        `{"verdict": ..., "answers": [...], "lines": [...], "notes": [...]}`, only text and
        numbers, ready for JSON.

    Raises:
        ValueError: If the card has no lines, or a line lacks one of these fields.

    Example:
        >>> from attn_jax.plot.card import card_content
        >>> line = dict(title="Deletion", value=0.5, low=0.4, high=0.6, random=0.1, uniform=0.1,
        ...             reads="supports", verdict="moves it")
        >>> card_content({"verdict": "It can be read.", "lines": [line]})["lines"][0]["value"]
        0.5
    """
    fields = card if isinstance(card, Mapping) else card.to_dict()
    lines = [_line(number, line) for number, line in enumerate(fields.get("lines", ()))]
    if not lines:
        raise ValueError("the card has no lines; create one with measure.report_card(...).")
    return {
        "verdict": str(fields.get("verdict", "")),
        "answers": _answers(fields.get("answers") or {}),
        "lines": lines,
        "notes": [str(note) for note in fields.get("notes") or ()],
    }


def _answers(answers: Any) -> list[dict[str, str]]:
    """Return the answers as a list; one that was read from a file is a list already."""
    if not isinstance(answers, Mapping):
        return [
            {name: str(each[name]) for name in ("question", "reads", "words")} for each in answers
        ]
    return [
        {
            "question": _QUESTIONS[name],
            "reads": answers[name]["reads"],
            "words": answers[name]["words"],
        }
        for name in _QUESTIONS
        if name in answers
    ]


def _line(number: int, line: Mapping[str, Any]) -> dict[str, Any]:
    missing = [name for name in (*_TEXTS, *_NUMBERS) if name not in line]
    if missing:
        raise ValueError(f"line {number} of the card lacks {', '.join(missing)}; it has {[*line]}.")
    if line["reads"] not in _READS:
        raise ValueError(
            f"line {number} of the card has reads={line['reads']!r}; it must be one of {[*_READS]}."
        )
    numbers = {name: _finite(line[name]) for name in _NUMBERS}
    return {name: str(line[name]) for name in _TEXTS} | numbers


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
