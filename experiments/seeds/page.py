"""Tables between the marks of a page."""

import re
from pathlib import Path

END = "<!-- end -->"


def put_between(page: Path, begin: str, drawn: str) -> None:
    """Put a table into a page, in place of what stands between two marks.

    Args:
        page: The page.
        begin: The first mark; the second is `END`.
        drawn: The table.

    Raises:
        ValueError: If the page has lost the marks.
    """
    text = page.read_text(encoding="utf-8")
    if text.count(begin) != 1 or END not in text.partition(begin)[2]:
        raise ValueError(f"{page} must hold {begin!r} once, and {END!r} after it.")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(END)}", re.DOTALL)
    whole = f"{begin}\n\n{drawn}\n\n{END}"
    page.write_text(pattern.sub(lambda _: whole, text), encoding="utf-8")
