"""The report card: each measure of a map next to its baselines, with a verdict in words."""

import dataclasses
import html
import math
from typing import Any, Literal

Reads = Literal["supports", "against", "unclear"]

Question = Literal["depends", "ranks", "mass"]

QUESTIONS: dict[Question, str] = {
    "depends": "Does the output depend on this attention?",
    "ranks": "Does the map's ranking find what matters?",
    "mass": "Does the map's mass show how much?",
}

MARKS: dict[str, str] = {"supports": "✓", "against": "✗", "unclear": "?"}


@dataclasses.dataclass(frozen=True)
class Answer:
    """The answer to one of the three questions.

    Attributes:
        reads: `supports` for yes, `against` for no, or `unclear`.
        words: The answer in words.
    """

    reads: Reads
    words: str


@dataclasses.dataclass(frozen=True)
class CardLine:
    """One measure.

    Attributes:
        name: The identifier of the measure.
        title: The name to show.
        question: The question that it helps to answer, or an empty string.
        value: The mean over the examples, or a ratio of two means; NaN where it is not defined.
        low: The lower end of its interval.
        high: The upper end.
        random: The same measure of random maps; None where there is none.
        uniform: The same measure of uniform weights; None where there is none.
        reads: Whether the measure supports reading the map as an explanation.
        verdict: The verdict in words.
    """

    name: str
    title: str
    question: Question | Literal[""]
    value: float
    low: float
    high: float
    random: float | None
    uniform: float | None
    reads: Reads
    verdict: str


@dataclasses.dataclass(frozen=True)
class ReportCard:
    """A judgment of how far a map explains a model's predictions.

    Attributes:
        verdict: The verdict of all lines together, in a sentence.
        reads: The same verdict as one of three words.
        answers: The answers to the three questions.
        lines: One for each measure.
        notes: What the map is, and what was not tested.
        examples: The number of examples.
        keys: The number of keys.
        seed: The data of the random key.
        attention: The hook points whose weights were judged.
    """

    verdict: str
    reads: Reads
    answers: dict[Question, Answer]
    lines: tuple[CardLine, ...]
    notes: tuple[str, ...]
    examples: int
    keys: int
    seed: tuple[int, ...]
    attention: tuple[str, ...]

    def __getitem__(self, name: str) -> CardLine:
        """Return the line of a measure.

        Raises:
            KeyError: If there is none of that name.
        """
        lines = {line.name: line for line in self.lines}
        if name not in lines:
            raise KeyError(f"the card has no line {name!r}; it has {', '.join(lines)}.")
        return lines[name]

    def to_dict(self) -> dict[str, Any]:
        """Return the card as values that JSON can hold; numbers that are not finite become None."""

        def plain(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: plain(each) for name, each in value.items()}
            if isinstance(value, list | tuple):
                return [plain(each) for each in value]
            return None if isinstance(value, float) and not math.isfinite(value) else value

        return plain(dataclasses.asdict(self))

    def __str__(self) -> str:
        header = ("", "", "this map", "95 %", "random", "uniform")
        rows = [header, *(_cells(line) for line in self.lines)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        verdicts = ["", *(line.verdict for line in self.lines)]
        table = [
            "  ".join(
                [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
                + [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
                + [verdict]
            ).rstrip()
            for row, verdict in zip(rows, verdicts, strict=True)
        ]
        answers = [
            f"{MARKS[answer.reads]} {QUESTIONS[question]} {answer.words}"
            for question, answer in self.answers.items()
        ]
        size = f"{self.examples} examples of up to {self.keys} keys; {', '.join(self.attention)}"
        return "\n".join([self.verdict, *answers, *table, *self.notes, size])

    def _repr_html_(self) -> str:
        names = ("measure", "this map", "95 %", "random map", "uniform weights", "verdict")
        head = "".join(f'<th scope="col">{name}</th>' for name in names)
        rows = ""
        for line in self.lines:
            mark, title, *numbers = _cells(line)
            cells = "".join(
                f"<td>{html.escape(cell)}</td>" for cell in (*numbers, f"{mark} {line.verdict}")
            )
            rows += f'<tr><th scope="row">{html.escape(title)}</th>{cells}</tr>'
        answers = "".join(
            f"<li>{MARKS[answer.reads]} {QUESTIONS[question]} <em>{html.escape(answer.words)}</em>"
            "</li>"
            for question, answer in self.answers.items()
        )
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return (
            f"<p><strong>{html.escape(self.verdict)}</strong></p><ul>{answers}</ul>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
            f"<ul>{notes}</ul>"
        )


def _cells(line: CardLine) -> tuple[str, ...]:
    """Return a line's mark, title, value, interval and baselines as text."""
    ends = f"{_number(line.low)} to {_number(line.high)}"
    interval = ends if math.isfinite(line.value) else "–"
    numbers = (_number(line.value), interval, _number(line.random), _number(line.uniform))
    return (MARKS[line.reads], line.title, *numbers)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    # Adding zero turns -0.000 into 0.000.
    return f"{round(value, 3) + 0.0:.3f}" if math.isfinite(value) else "not defined"
