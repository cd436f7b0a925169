"""The reader of a file of texts and their classes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attn_jax.tasks.planted_evidence.text import Text
from attn_jax.tasks.translation.tokens import normalize, split_tokens
from attn_jax.tasks.translation.tsv.rows import Row, read_rows
from attn_jax.tasks.translation.words import bare_token

__all__ = ["read_texts", "split_texts"]

_NEEDED = ("text", "label")
_EVIDENCE = "evidence"
_MAX_SHARE = 10


def read_texts(path: Path) -> list[Text]:
    """Read a file of tab-separated columns `text`, `label` and perhaps `evidence`.

    Args:
        path: The file, whose first line names the columns.

    Returns:
        The texts in lower case, split into words. The evidence is every place of the words in the
        third column, which are separated by blanks.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is no text with a class, with the line, the fault and the way out.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {path.absolute()}; --task.path names a UTF-8 file of tab-separated "
            "columns text and label."
        )
    rows = [row for row in read_rows(path) if not row.is_empty]
    if not rows:
        raise ValueError(f"{path} is empty; its first line must be text, a tab and label.")
    header = [cell.strip().lower() for cell in rows[0].cells]
    known = (*_NEEDED, _EVIDENCE)
    if not set(_NEEDED) <= set(header) or not set(header) <= set(known):
        raise ValueError(
            f"{path}, line {rows[0].number}: the columns are called {', '.join(header)}; name them "
            "text and label, and evidence if there is a third, parted by tabs."
        )
    texts = [_read(row, header, f"{path}, line {row.number}") for row in rows[1:]]
    labels = {text.label for text in texts}
    if len(labels) < 2:
        raise ValueError(
            f"{path} has texts of {len(labels)} class{'es' * (len(labels) != 1)}; a classifier "
            "needs two or more: add texts with another label."
        )
    return texts


def _read(row: Row, header: Sequence[str], where: str) -> Text:
    if len(row.cells) != len(header):
        raise ValueError(
            f"{where}: {len(row.cells)} cells, but the first line names {len(header)} columns; "
            "part them by one tab each, or delete the line."
        )
    cells = dict(zip(header, row.cells, strict=True))
    for name in _NEEDED:
        if not cells[name].strip():
            raise ValueError(f"{where}: the {name} is empty; fill it in, or delete the line.")
    words = _words(cells["text"])
    wanted = _words(cells.get(_EVIDENCE, ""))
    absent = [word for word in wanted if word not in words]
    if absent:
        raise ValueError(
            f"{where}: the evidence {absent[0]!r} is no word of the text; write the words as they "
            "stand there, parted by blanks."
        )
    evidence = tuple(place for place, word in enumerate(words) if word in wanted)
    return Text(tuple(words), cells["label"].strip(), evidence)


def _words(text: str) -> list[str]:
    return list(map(bare_token, split_tokens(normalize(text.lower()), "words")))


def split_texts(
    texts: Sequence[Text], *, validation: int, test: int, seed: int, origin: str
) -> dict[str, list[Text]]:
    """Split texts at random, each different text once.

    Args:
        texts: The texts.
        validation: The number of validation texts, at most a tenth of all.
        test: The number of test texts, at most a tenth of all.
        seed: The seed for the order of the texts.
        origin: The name of the texts in errors.

    Returns:
        `train`, `validation` and `test`.

    Raises:
        ValueError: If there are fewer than three texts, or a text has two classes.
    """
    labels: dict[tuple[str, ...], str] = {}
    for text in texts:
        if labels.setdefault(text.words, text.label) != text.label:
            raise ValueError(
                f"{origin} has the text {' '.join(text.words)[:60]!r} as {labels[text.words]!r} "
                f"and as {text.label!r}; delete one of the two lines."
            )
    different = list({text.words: text for text in texts}.values())
    if len(different) < 3:
        raise ValueError(
            f"{origin} has {len(different)} different texts; training, validation and test need "
            "one each, so at least 3: add texts."
        )
    limit = max(1, len(different) // _MAX_SHARE)
    ends = np.cumsum([min(test, limit), min(validation, limit)])
    order = np.random.default_rng(seed).permutation(len(different))
    parts = [[different[place] for place in part] for part in np.split(order, ends)]
    return dict(zip(("test", "validation", "train"), parts, strict=True))
