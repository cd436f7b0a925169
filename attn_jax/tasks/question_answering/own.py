"""The reader of a file of stories and questions."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from attn_jax.tasks.question_answering.story import Story
from attn_jax.tasks.translation.tokens import normalize, split_tokens
from attn_jax.tasks.translation.tsv.rows import Row, read_rows
from attn_jax.tasks.translation.words import bare_token

__all__ = ["read_stories", "split_stories"]

_NEEDED = ("story", "question", "answer")
_FACTS = "facts"
_END = re.compile(r"(?<=[.!?])\s+")
_MAX_SHARE = 10


def read_stories(path: Path) -> list[Story]:
    """Read a file of tab-separated columns `story`, `question`, `answer` and perhaps `facts`.

    Args:
        path: The file, whose first line names the columns. The sentences of a story end with a
            period, a question mark or an exclamation mark, and `facts` holds the numbers of those
            that answer, from 1, in the order in which they are needed.

    Returns:
        The stories in lower case, split into words without punctuation.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is no story with a question, with the line, the fault and the way out.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {path.absolute()}; --task.path names a UTF-8 file of tab-separated "
            "columns story, question and answer."
        )
    rows = [row for row in read_rows(path) if not row.is_empty]
    if not rows:
        raise ValueError(
            f"{path} is empty; its first line must name the columns story, question and answer."
        )
    header = [cell.strip().lower() for cell in rows[0].cells]
    if not set(_NEEDED) <= set(header) <= {*_NEEDED, _FACTS}:
        raise ValueError(
            f"{path}, line {rows[0].number}: the columns are called {', '.join(header)}; name them "
            "story, question and answer, and facts if there is a fourth, parted by tabs."
        )
    return [_read(row, header, f"{path}, line {row.number}") for row in rows[1:]]


def _read(row: Row, header: Sequence[str], where: str) -> Story:
    if len(row.cells) != len(header):
        raise ValueError(
            f"{where}: {len(row.cells)} cells, but the first line names {len(header)} columns; "
            "part them by one tab each, or delete the line."
        )
    cells = dict(zip(header, row.cells, strict=True))
    for name in _NEEDED:
        if not cells[name].strip():
            raise ValueError(f"{where}: the {name} is empty; fill it in, or delete the line.")
    sentences = tuple(filter(None, map(_words, _END.split(cells["story"]))))
    facts = _facts(cells, len(sentences), where)
    answer = normalize(cells["answer"].lower())
    return Story(sentences, _words(cells["question"]), answer, facts)


def _facts(cells: Mapping[str, str], sentences: int, where: str) -> tuple[int, ...]:
    facts = []
    for fact in cells.get(_FACTS, "").split():
        if not fact.isdecimal() or not 1 <= int(fact) <= sentences:
            raise ValueError(
                f"{where}: the fact {fact!r} is none of the {sentences} sentences of the story, "
                f"which count from 1; write numbers from 1 to {sentences}, parted by blanks."
            )
        facts.append(int(fact) - 1)
    return tuple(facts)


def _words(text: str) -> tuple[str, ...]:
    words = map(bare_token, split_tokens(normalize(text.lower()), "words"))
    return tuple(word for word in words if any(map(str.isalnum, word)))


def split_stories(
    stories: Sequence[Story], *, validation: int, test: int, seed: int, path: Path
) -> dict[str, list[Story]]:
    """Split stories at random; questions about the same story stay in one split.

    Args:
        stories: The stories.
        validation: The number of validation stories, at most a tenth of all.
        test: The number of test stories, at most a tenth of all.
        seed: The seed for the order of the stories.
        path: The file that they are from, for errors.

    Returns:
        `train`, `validation` and `test`, each with all questions about its stories.

    Raises:
        ValueError: If there are fewer than three stories.
    """
    groups: dict[tuple[tuple[str, ...], ...], list[Story]] = {}
    for story in dict.fromkeys(stories):
        groups.setdefault(story.sentences, []).append(story)
    if len(groups) < 3:
        raise ValueError(
            f"{path} has {len(groups)} different stories; training, validation and test need one "
            "each, so at least 3: add stories."
        )
    limit = max(1, len(groups) // _MAX_SHARE)
    ends = np.cumsum([min(test, limit), min(validation, limit)])
    listed = list(groups.values())
    order = np.random.default_rng(seed).permutation(len(listed))
    parts = [[story for place in part for story in listed[place]] for part in np.split(order, ends)]
    return dict(zip(("test", "validation", "train"), parts, strict=True))
