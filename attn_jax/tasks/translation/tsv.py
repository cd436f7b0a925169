"""The user's own pairs: a file of lines ``source<TAB>target``, in UTF-8 and without quoting.

A first line ``source<TAB>target`` is a header. Further columns are ignored (Anki and Tatoeba put
the attribution there), unless the header is ``source<TAB>target<TAB>alignment``: the third column
then links tokens, which blanks must part, as ``0-0 1-2 1?3``, counted from 0, source first; ``-``
is a sure link and ``?`` a possible one.
"""

import re
from collections import Counter
from pathlib import Path

from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.tokens import normalize

__all__ = ["read_tsv"]

_HEADER = ["source", "target", "alignment"]


def read_tsv(path: Path) -> tuple[list[Example], bool, Counter[str]]:
    """Reads a file of pairs.

    Args:
        path: The file.

    Returns:
        The pairs, with tokens and links if the header announces links; whether it does; and how
        many lines were left out, by reason.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line is no pair; the message has its number, what is wrong and how to mend it.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {path.absolute()}; --task.path names a UTF-8 file of pairs."
        )
    lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines[-1] == b"":  # The end of the last line begins no further one.
        lines.pop()
    first = next((at for at, line in enumerate(lines) if line.strip()), 0)
    header = lines[first] if lines else b""
    named, linked = _read_header(header, f"{path}, line {first + 1}")
    skipped: Counter[str] = Counter()
    examples = []
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        if named and number == first + 1:
            continue
        text = _decode(line.rstrip(b"\r"), where)
        if not text.strip():
            skipped["empty lines"] += 1
            continue
        pair = _read_line(text, linked, where)
        if pair.source_text and pair.target_text:
            examples.append(pair)
        else:
            skipped["lines with an empty side"] += 1
    return examples, linked, skipped


def _read_header(line: bytes, where: str) -> tuple[bool, bool]:
    """Whether a line is a header, and whether it announces links."""
    cells = [cell.strip().casefold() for cell in line.decode(errors="replace").split("\t")]
    if cells[:2] != _HEADER[:2]:
        return False, False
    linked = cells[2:3] == _HEADER[2:]
    if cells[2:] and not linked:
        raise ValueError(
            f"{where}: the header's third column is {cells[2]!r}; call it alignment if it holds "
            "links, as 0-2 or 0?2, or leave it out."
        )
    return True, linked


def _decode(line: bytes, where: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{where}: byte {error.start + 1} of the line, 0x{line[error.start]:02x}, is not "
            "UTF-8; save the file as UTF-8."
        ) from error


def _read_line(text: str, linked: bool, where: str) -> Example:
    if "\r" in text:
        raise ValueError(
            f"{where}: a carriage return within the line; save the file with the line ends of Unix "
            "or Windows (LF, CR LF)."
        )
    columns = text.split("\t")
    needed = 3 if linked else 2
    if len(columns) < needed:
        form = "<TAB>".join(_HEADER[:needed])
        raise ValueError(
            f"{where}: {len(columns)} of the {needed} columns {form}; part them by a tab (blanks "
            "do not count), or delete the line."
        )
    source, target = map(normalize, columns[:2])
    if not linked:
        return Example((), (), source_text=source, target_text=target)
    sides = tuple(source.split()), tuple(target.split())
    links = [_read_link(link, sides, where) for link in columns[2].split()]
    sure = {place for place, is_sure in links if is_sure}
    possible = {place for place, _ in links}
    return Example(*sides, tuple(sorted(sure)), tuple(sorted(possible)), source, target)


def _read_link(
    link: str, sides: tuple[tuple[str, ...], tuple[str, ...]], where: str
) -> tuple[tuple[int, int], bool]:
    parts = re.fullmatch(r"([0-9]+)([-?])([0-9]+)", link)
    if parts is None:
        raise ValueError(
            f"{where}: the link {link!r} is not of the form 0-2 (sure) or 0?2 (possible), source "
            "first; part links by blanks."
        )
    places = int(parts[1]), int(parts[3])
    for side, place, tokens in zip(_HEADER, places, sides, strict=False):
        if place >= len(tokens):
            raise ValueError(
                f"{where}: the link {link!r} names {side} token {place}, and the {side} has "
                f"{len(tokens)}, counted from 0 to {len(tokens) - 1}; correct the link."
            )
    return (places[1], places[0]), parts[2] == "-"
