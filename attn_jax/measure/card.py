"""The report card: each measure of a map beside chance, and in plain words what that says."""

import dataclasses
import html
import math
from typing import Any, Literal

Reads = Literal["supports", "against", "unclear"]

MARKS: dict[str, str] = {"supports": "✓", "against": "✗", "unclear": "?"}


@dataclasses.dataclass(frozen=True)
class CardLine:
    """One measure.

    Attributes:
        name: Of the measure, as an identifier.
        title: For people.
        value: The mean over the examples.
        low: Where its interval begins.
        high: Where it ends.
        random: The same of a random map; None where there is no such thing.
        uniform: The same of equal weights; None where there is no such thing.
        reads: Whether it supports reading the map as an explanation, or speaks against it.
        verdict: What it says, in a sentence.
    """

    name: str
    title: str
    value: float
    low: float
    high: float
    random: float | None
    uniform: float | None
    reads: Reads
    verdict: str


@dataclasses.dataclass(frozen=True)
class ReportCard:
    """How far a map can be believed.

    Attributes:
        verdict: Of all lines together, in a sentence.
        reads: The same as one of three words.
        lines: One for each measure.
        examples: How many examples it was made from.
        keys: How many keys they have.
        seed: The data of the random key that it was made with.
        attention: The hook points whose weights were judged.
    """

    verdict: str
    reads: Reads
    lines: tuple[CardLine, ...]
    examples: int
    keys: int
    seed: tuple[int, ...]
    attention: tuple[str, ...]

    def __getitem__(self, name: str) -> CardLine:
        """The line of a measure.

        Raises:
            KeyError: If there is none of that name.
        """
        found = {line.name: line for line in self.lines}
        if name not in found:
            raise KeyError(f"the card has no line {name!r}; it has {', '.join(found)}.")
        return found[name]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it: what is not finite becomes None."""

        def plain(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: plain(each) for name, each in value.items()}
            if isinstance(value, list | tuple):
                return [plain(each) for each in value]
            return None if isinstance(value, float) and not math.isfinite(value) else value

        return plain(dataclasses.asdict(self))

    def __str__(self) -> str:
        header = ("", "", "this map", "95 %", "random", "equal")
        rows = [header] + [
            (
                MARKS[line.reads],
                line.title,
                _number(line.value),
                f"{_number(line.low)} to {_number(line.high)}",
                _number(line.random),
                _number(line.uniform),
            )
            for line in self.lines
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        words = ["", *(line.verdict for line in self.lines)]
        table = [
            "  ".join(
                [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
                + [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
                + [verdict]
            ).rstrip()
            for row, verdict in zip(rows, words, strict=True)
        ]
        about = f"{self.examples} examples of up to {self.keys} keys; {', '.join(self.attention)}"
        return "\n".join([self.verdict, *table, about])

    def _repr_html_(self) -> str:
        names = ("measure", "this map", "a random one", "equal weights", "what it says")
        head = "".join(f'<th scope="col">{name}</th>' for name in names)
        rows = "".join(
            f'<tr><th scope="row">{html.escape(line.title)}</th>'
            f"<td>{_number(line.value)} ({_number(line.low)} to {_number(line.high)})</td>"
            f"<td>{_number(line.random)}</td><td>{_number(line.uniform)}</td>"
            f"<td>{MARKS[line.reads]} {html.escape(line.verdict)}</td></tr>"
            for line in self.lines
        )
        return (
            f"<p><strong>{html.escape(self.verdict)}</strong></p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )


def _number(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"
