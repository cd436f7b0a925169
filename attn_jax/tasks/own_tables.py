"""Tables of a user's own: files of tab-separated columns, and their random splits."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from attn_jax.tasks.translation.tokens import normalize, split_tokens
from attn_jax.tasks.translation.tsv.rows import Row, read_rows
from attn_jax.tasks.translation.words import bare_token

__all__ = ["lower_words", "read_table", "split_at_random"]

_MAX_SHARE = 10

Item = TypeVar("Item")


def read_table(
    path: Path, needed: Sequence[str], optional: str | None = None
) -> Iterator[tuple[str, dict[str, str]]]:
    """Read a file of tab-separated columns, which its first line names.

    Args:
        path: The file.
        needed: The columns that must be there, none of whose cells may be empty.
        optional: The column that may be there, too, if any.

    Yields:
        Where a line is, for errors, and its cells by column.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line does not fit, with the line, the fault and the way out.
    """
    columns = f"{', '.join(needed[:-1])} and {needed[-1]}"
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {path.absolute()}; --task.path names a UTF-8 file of tab-separated "
            f"columns {columns}."
        )
    rows = [row for row in read_rows(path) if not row.is_empty]
    if not rows:
        raise ValueError(f"{path} is empty; its first line must name the columns {columns}.")
    header = [cell.strip().lower() for cell in rows[0].cells]
    if not set(needed) <= set(header) <= {*needed, optional}:
        more = f", and {optional} if there is one more" if optional else ""
        raise ValueError(
            f"{path}, line {rows[0].number}: the columns are called {', '.join(header)}; name them "
            f"{columns}{more}, separated by tabs."
        )
    for row in rows[1:]:
        where = f"{path}, line {row.number}"
        yield where, _cells(row, header, needed, where)


def _cells(row: Row, header: Sequence[str], needed: Sequence[str], where: str) -> dict[str, str]:
    if len(row.cells) != len(header):
        raise ValueError(
            f"{where}: {len(row.cells)} cells, but the first line names {len(header)} columns; "
            "separate them by one tab each, or delete the line."
        )
    cells = dict(zip(header, row.cells, strict=True))
    for name in needed:
        if not cells[name].strip():
            raise ValueError(f"{where}: the {name} is empty; fill it in, or delete the line.")
    return cells


def lower_words(text: str) -> list[str]:
    """Split a text into words in lower case, without the marks that tokenizers put before them."""
    return list(map(bare_token, split_tokens(normalize(text.lower()), "words")))


def split_at_random(
    items: Sequence[Item], kind: str, *, validation: int, test: int, seed: int, origin: str
) -> dict[str, list[Item]]:
    """Split different items at random.

    Args:
        items: The items.
        kind: What they are called, in the plural.
        validation: The number of validation items, at most a tenth of all.
        test: The number of test items, at most a tenth of all.
        seed: The seed for their order.
        origin: The name of their source in errors.

    Returns:
        `train`, `validation` and `test`.

    Raises:
        ValueError: If there are fewer than three.
    """
    if len(items) < 3:
        raise ValueError(
            f"{origin} has {len(items)} different {kind}; training, validation and test need one "
            f"each, so at least 3: add {kind}."
        )
    limit = max(1, len(items) // _MAX_SHARE)
    ends = np.cumsum([min(test, limit), min(validation, limit)])
    order = np.random.default_rng(seed).permutation(len(items))
    parts = [[items[place] for place in part] for part in np.split(order, ends)]
    return dict(zip(("test", "validation", "train"), parts, strict=True))
