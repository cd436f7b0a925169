"""The reader of a file of your own documents and summaries."""

from pathlib import Path

from attn_jax.tasks.own_tables import read_table
from attn_jax.tasks.summaries.pair import Pair, split_words

__all__ = ["read_own"]


def read_own(path: Path) -> list[Pair]:
    """Read a file of tab-separated columns `document` and `summary`.

    Args:
        path: The file, whose first line names the columns.

    Returns:
        The pairs, without copies.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is no pair, with the line, the fault and the way out.
    """
    pairs: dict[tuple[tuple[str, ...], ...], Pair] = {}
    for where, cells in read_table(path, ("document", "summary")):
        document, summary = (split_words(cells[name]) for name in ("document", "summary"))
        for name, words in (("document", document), ("summary", summary)):
            if not words:
                raise ValueError(
                    f"{where}: the {name} {cells[name]!r} has no words; write some, or delete the "
                    "line."
                )
        pairs.setdefault((document, summary), Pair(document, summary, where))
    return list(pairs.values())
