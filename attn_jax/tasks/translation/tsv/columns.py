"""The columns of a file that hold the pairs, found by its header or by their content."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from attn_jax.tasks.translation.tsv.languages import find_language
from attn_jax.tasks.translation.tsv.rows import Row

__all__ = ["LINK", "Columns", "check_columns", "find_columns"]

LINK = re.compile(r"([0-9]+)([-?])([0-9]+)")
"""A link as it is written: a source token, sure or possible, a target token."""

_ROLES = {
    "source": ("source", "src", "original"),
    "target": ("target", "tgt", "trg", "translation", "translated"),
    "alignment": ("alignment",),
}
# "No." and "id" number lines as well.
_NOT_ALWAYS_LANGUAGES = {"id", "no"}
_TEXT = {"text", "sentence", "segment"}
_NUMBER = r"[#(+\-−]?\.?\d[\d\s.,:/_+\-−]*(?:[eE][-+]?\d+)?[%)]?"
_DIGEST = r"(?=[a-f]*\d)[0-9a-f]{8,}"
_NUMBERED = r"(?=\S*\d)(?:[A-Za-z]|[A-Za-z\d]+(?:[-_.:#/][A-Za-z\d]+)+)\d*"
_IDENTIFIER = re.compile(rf"{_NUMBER}|{_DIGEST}|{_NUMBERED}|[a-z]+://\S+")
# A column is no language if this share of it is identifiers, or if, from a number of lines on, no
# larger share of it is different texts.
_MAX_IDENTIFIERS, _MIN_DIFFERENT, _MIN_LINES = 0.9, 0.05, 20


class Columns(NamedTuple):
    """The columns that are read, counted from 0.

    Attributes:
        source: The column of the sources.
        target: The column of the targets.
        alignment: The column of links, if there is one.
        header: The header's cells; empty without a header.
    """

    source: int = 0
    target: int = 1
    alignment: int | None = None
    header: Sequence[str] = ()

    @property
    def needed(self) -> int:
        """The number of columns that a row needs."""
        return 1 + max(self.source, self.target, self.alignment or 0)

    @property
    def form(self) -> str:
        """The columns by name, as an error shows them."""
        return "<TAB>".join(self.header[: self.needed] or ("source", "target"))


def find_columns(rows: Sequence[Row], path: Path) -> Columns:
    """Find the columns that the first row names, if it is a header.

    Args:
        rows: The rows that are not empty.
        path: The file, for errors and warnings.

    Returns:
        The columns; the first two and no header if the row names none.

    Raises:
        ValueError: If two columns have the same role.
    """
    if not rows:
        return Columns()
    cells, where = rows[0].cells, f"{path}, line {rows[0].number}"
    roles = [_role(cell) for cell in cells]
    if "source" not in roles and {"target", "text"} <= set(roles):
        roles = ["source" if role == "text" else role for role in roles]
    if not {"source", "target"} <= set(roles):
        return _find_languages(cells, rows[1].cells if len(rows) > 1 else (), where)
    for role in _ROLES:
        if roles.count(role) > 1:
            columns = " and ".join(str(i + 1) for i, other in enumerate(roles) if other == role)
            raise ValueError(
                f"{where}: the header names the columns {columns} {role}; rename all but one."
            )
    alignment = roles.index("alignment") if "alignment" in roles else None
    return Columns(roles.index("source"), roles.index("target"), alignment, cells)


def _bare_words(name: str) -> list[str]:
    """Split a column's name into words, without remarks in brackets and words for "text"."""
    words = re.findall(r"[^\W_]+", re.sub(r"[(\[].*", "", name).casefold())
    return [word for word in words if word not in _TEXT]


def _role(name: str) -> str:
    words = _bare_words(name)
    if name.strip() and not words:
        return "text"
    without_languages = [word for word in words if not find_language(word)]
    spellings = {" ".join(words), " ".join(without_languages)}
    return next((role for role, names in _ROLES.items() if spellings & {*names}), "")


def _language(name: str) -> str | None:
    if not re.fullmatch(r"[\w\s()\[\]-]+", name):
        return None  # Sentences have punctuation marks, names of columns have not.
    spellings = (name, re.sub(r"[(\[\])]", " ", name))
    joint = " " if " " in name.strip() else "-"
    codes = (find_language(joint.join(_bare_words(spelling))) for spelling in spellings)
    return next(filter(None, codes), None)


def _find_languages(cells: Sequence[str], following: Sequence[str], where: str) -> Columns:
    """Find the first two languages that a row names, unless the row after it names them too."""
    codes = {column: code for column, cell in enumerate(cells) if (code := _language(cell))}
    if len(codes) > 2:
        codes = {
            column: code for column, code in codes.items() if code not in _NOT_ALWAYS_LANGUAGES
        }
    columns = list(codes)[:2]
    texts = [cells[column].strip().casefold() for column in columns]
    # "No" and "non" are codes as well, but people write codes of one length.
    doubtful = set(texts) & _NOT_ALWAYS_LANGUAGES and len(set(map(len, texts))) > 1
    repeated = any(following[column : column + 1] == [cells[column]] for column in columns)
    if len({codes[column] for column in columns}) < 2 or doubtful or repeated:
        return Columns()
    source, target = columns
    warnings.warn(
        f"{where}: {cells[source]!r} and {cells[target]!r} name two languages, so this line is "
        "read as a header, not as a pair. To say so yourself, call the columns source and target; "
        "if it is a pair, put the line source<TAB>target before it.",
        stacklevel=2,
    )
    return Columns(source, target, header=cells)


def check_columns(rows: Sequence[Row], columns: Columns, path: Path) -> None:
    """Refuse columns that hold no language, or warn of them where they may have been meant.

    Args:
        rows: The rows after the header, each wide enough.
        columns: The columns that are read.
        path: The file, for errors and warnings.

    Raises:
        ValueError: If the pairs are in other columns and no header says which.
    """
    widths = [len(row.cells) for row in rows]
    width = min(widths, default=0)
    faults = [_fault([row.cells[column] for row in rows]) for column in range(width)]
    if columns.header:
        _check_links(rows[:1], columns, path)
    for column in (columns.source, columns.target) if rows else ():
        if fault := faults[column]:
            problem = f"{path}: column {column + 1} holds {fault}"
            if columns.header or max(widths) == 2:
                warnings.warn(f"{problem}; it is learned as text all the same.", stacklevel=2)
            else:
                raise ValueError(f"{problem}. {_way_out(faults)}")


def _fault(cells: Sequence[str]) -> str:
    """Say why a column is no column of sentences; empty if it may be one."""
    texts = [cell.strip() for cell in cells if cell.strip()]
    if not texts:
        return "nothing"
    identifiers = [text for text in texts if _IDENTIFIER.fullmatch(text)]
    if len(identifiers) >= _MAX_IDENTIFIERS * len(texts):
        return f"numbers or identifiers, as {identifiers[0]!r}, in {len(identifiers)} lines"
    different = len(set(texts))
    if len(texts) >= _MIN_LINES and different <= max(1, _MIN_DIFFERENT * len(texts)):
        return f"only {different} different texts, as {texts[0]!r}, in {len(texts)} lines"
    return ""


def _way_out(faults: Sequence[str]) -> str:
    sides = iter(("source", "target"))
    names = []
    for number, fault in enumerate(faults, start=1):
        other = f"column{number}"
        names.append(other if fault else next(sides, other))
    return f"Name the columns in a line before the first, as {'<TAB>'.join(names)}."


def _check_links(rows: Sequence[Row], columns: Columns, path: Path) -> None:
    """Refuse a column of links that is called something else."""
    pair = (columns.source, columns.target)
    for row in rows if columns.alignment is None else ():
        for column, (name, cell) in enumerate(zip(columns.header, row.cells, strict=False)):
            links = cell.split()
            if links and column not in pair and all(map(LINK.fullmatch, links)):
                raise ValueError(
                    f"{path}, line {row.number}: the column {name!r} holds {links[0]!r}; call it "
                    "alignment if it holds links, as 0-2 or 0?2, or leave it out."
                )
