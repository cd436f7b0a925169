"""The reader of a file of pairs."""

import warnings
from collections import Counter
from pathlib import Path

from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.tokens import normalize
from attn_jax.tasks.translation.tsv.columns import LINK, Columns, check_columns, find_columns
from attn_jax.tasks.translation.tsv.rows import Row, read_rows

__all__ = ["read_tsv"]


def read_tsv(path: Path) -> tuple[list[Example], bool, Counter[str]]:
    """Read a file of pairs.

    Args:
        path: The file.

    Returns:
        The pairs, with tokens and links if the header has a column `alignment`; whether it has one;
        and the number of lines left out, by reason.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is no pair, or the pairs are in other columns. The message names the
            line or the column, the fault and the way out.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {path.absolute()}; --task.path names a UTF-8 file of pairs."
        )
    rows = read_rows(path)
    full = [row for row in rows if not row.is_empty]
    skipped = Counter({"empty lines": len(rows) - len(full)})
    columns = find_columns(full, path)
    body = full[1:] if columns.header else full
    pairs = [_read_row(row, columns, f"{path}, line {row.number}") for row in body]
    check_columns(body, columns, path)
    _warn_of_breaks(body, columns, path)
    examples = [pair for pair in pairs if pair.source_text and pair.target_text]
    skipped["lines with an empty side"] += len(pairs) - len(examples)
    return examples, columns.alignment is not None, +skipped


def _read_row(row: Row, columns: Columns, where: str) -> Example:
    if len(row.cells) < columns.needed:
        hint = ", or quote all cells alike" if any('"' in cell for cell in row.cells) else ""
        raise ValueError(
            f"{where}: {len(row.cells)} of the {columns.needed} columns {columns.form}; part them "
            f"by a tab (blanks do not count){hint}, or delete the line."
        )
    source, target = (normalize(row.cells[column]) for column in columns[:2])
    if columns.alignment is None:
        return Example((), (), source_text=source, target_text=target)
    sides = tuple(source.split()), tuple(target.split())
    links = [_read_link(link, sides, where) for link in row.cells[columns.alignment].split()]
    sure = {place for place, is_sure in links if is_sure}
    possible = {place for place, _ in links}
    return Example(*sides, tuple(sorted(sure)), tuple(sorted(possible)), source, target)


def _read_link(
    link: str, sides: tuple[tuple[str, ...], tuple[str, ...]], where: str
) -> tuple[tuple[int, int], bool]:
    parts = LINK.fullmatch(link)
    if parts is None:
        raise ValueError(
            f"{where}: the link {link!r} is not of the form 0-2 (sure) or 0?2 (possible), source "
            "first; part links by blanks."
        )
    places = int(parts[1]), int(parts[3])
    for side, place, tokens in zip(("source", "target"), places, sides, strict=True):
        if place >= len(tokens):
            raise ValueError(
                f"{where}: the link {link!r} names {side} token {place}, and the {side} has "
                f"{len(tokens)}, counted from 0 to {len(tokens) - 1}; correct the link."
            )
    return (places[1], places[0]), parts[2] == "-"


def _warn_of_breaks(rows: list[Row], columns: Columns, path: Path) -> None:
    cells = [row.cells[column] for row in rows for column in columns[:2]]
    broken = sum("\t" in cell or "\n" in cell for cell in cells)
    if broken:
        warnings.warn(
            f"{path}: a tab or a line break within quotation marks is read as a blank, in "
            f"{broken} of {len(cells)} cells.",
            stacklevel=3,
        )
