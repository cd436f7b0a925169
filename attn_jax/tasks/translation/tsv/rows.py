"""The rows of a file of tab-separated cells, quoted as spreadsheets do it or not at all.

A spreadsheet puts a cell in quotation marks if it holds a quotation mark, which it doubles, a tab,
a line break or a comma. Text without such quoting has quotation marks of its own, single or in
pairs, and must lose neither them nor the lines between them. So the decision needs the whole file.
"""

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from attn_jax.tasks.signatures import describe_content

__all__ = ["Row", "read_rows"]

_QUOTED = re.compile(r'"([^"]*(?:""[^"]*)*)"(?=[\t\n]|\Z)')
_PLAIN = re.compile(r'([^"\t\n]*)(?=[\t\n]|\Z)')


class Row(NamedTuple):
    """A row of cells.

    Attributes:
        number: The line it begins on, counted from 1.
        cells: The text of each cell.
        quoted: The cells that stood in quotation marks.
    """

    number: int
    cells: list[str]
    quoted: Sequence[str] = ()

    @property
    def is_empty(self) -> bool:
        """Whether all cells are blank."""
        return not any(cell.strip() for cell in self.cells)


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a file, empty ones included.

    Args:
        path: The file.

    Returns:
        The rows, without the quotation marks of a spreadsheet.

    Raises:
        ValueError: If the file is not text in UTF-8 with line ends of Unix or Windows.
    """
    content = path.read_bytes()
    if kind := describe_content(content):
        raise ValueError(f"{path} is {kind}; save the pairs as tab-separated text in UTF-8.")
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines[-1] == b"":  # No line begins after the last line end.
        lines.pop()
    texts = [_decode(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]
    plain = [Row(number, text.split("\t")) for number, text in enumerate(texts, start=1)]
    if '"' not in "".join(texts):
        return plain
    quoted = _parse_quoted("\n".join(texts))
    if quoted is None or not _is_spreadsheet(quoted, plain, path):
        usual = Counter(len(row.cells) for row in plain).most_common(1)[0][0]
        return [_unquote_line(row, usual) for row in plain]
    return quoted


def _decode(line: bytes, where: str) -> str:
    try:
        text = line.removesuffix(b"\r").decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{where}: byte {error.start + 1} of the line, 0x{line[error.start]:02x}, is not "
            "UTF-8; save the file as UTF-8."
        ) from error
    if "\r" in text:
        raise ValueError(
            f"{where}: a carriage return within the line; save the file with the line ends of Unix "
            "or Windows (LF, CR LF)."
        )
    return text


def _parse_quoted(text: str) -> list[Row] | None:
    """Read text as a spreadsheet writes it; None if a quotation mark is against its rules."""
    rows, cells, quoted = [], [], []
    start, number, end = 0, 1, -1
    while end < len(text):
        if end >= 0 and text[end] == "\n":
            rows.append(Row(number, cells, quoted))
            number, cells, quoted = number + text.count("\n", start, end + 1), [], []
            start = end + 1
        match = _QUOTED.match(text, end + 1) or _PLAIN.match(text, end + 1)
        if match is None:
            return None
        cells.append(match[1])
        if match.re is _QUOTED:
            cells[-1] = match[1].replace('""', '"')
            quoted.append(cells[-1])
        end = match.end()
    return [*rows, Row(number, cells, quoted)]


def _is_spreadsheet(quoted: list[Row], plain: list[Row], path: Path) -> bool:
    """Decide whether quotation marks are a spreadsheet's, given the rows with and without them."""
    cells = [cell for row in quoted for cell in row.quoted]
    if _count_short(quoted) > _count_short(plain):
        return False
    unquoted = Counter(cell for row in quoted for cell in row.cells) - Counter(cells)
    if not any(map(str.isalpha, "".join(unquoted))):
        return True
    if any("\t" in cell or "\n" in cell for cell in cells):
        return _is_more_regular(quoted, plain, any("\n" in cell for cell in cells))
    if any('"' in cell for cell in cells):
        return True
    if any("," not in cell for cell in cells if cell):
        return False
    warnings.warn(
        f"{path}: the quotation marks around {len(cells)} cells, as {cells[0]!r}, are read as a "
        "spreadsheet's, because all of these cells hold commas. If they belong to the text, double "
        "them and put the cell in quotation marks.",
        stacklevel=2,
    )
    return True


def _count_short(rows: list[Row]) -> int:
    return sum(len(row.cells) < 2 and bool(row.quoted or not row.is_empty) for row in rows)


def _is_more_regular(quoted: list[Row], plain: list[Row], spans_lines: bool) -> bool:
    """Decide whether rows have fewer different widths when tabs in quotation marks are text."""
    widths, plain_widths = (
        {len(row.cells) for row in rows if not row.is_empty} for rows in (quoted, plain)
    )
    if spans_lines and min(plain_widths) >= 2:
        # Every line is a pair by itself: the marks are more likely single ones of two lines.
        return len(widths) < len(plain_widths)
    return len(widths) <= len(plain_widths)


def _unquote_line(row: Row, usual: int) -> Row:
    """Read a line of a file that is not quoted throughout, if it can only be a spreadsheet's."""
    parsed = _parse_quoted("\t".join(row.cells))
    if parsed is None or len(parsed[0].cells) < 2:
        return row
    cells = parsed[0].quoted
    has_tabs = any("\t" in cell for cell in cells) and len(row.cells) != usual
    has_doubled = len(parsed[0].cells) == len(row.cells) and any('"' in cell for cell in cells)
    return row._replace(cells=parsed[0].cells) if has_tabs or has_doubled else row
