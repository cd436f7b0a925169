"""The reader of a file of stories and questions."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from attn_jax.tasks.own_tables import lower_words, read_table, split_at_random
from attn_jax.tasks.question_answering.story import Story
from attn_jax.tasks.translation.tokens import normalize

__all__ = ["read_stories", "split_stories"]

_FACTS = "facts"
_END = re.compile(r"(?<=[.!?])\s+")


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
    rows = read_table(path, ("story", "question", "answer"), _FACTS)
    return [_read(cells, where) for where, cells in rows]


def _read(cells: Mapping[str, str], where: str) -> Story:
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
                f"which count from 1; write numbers from 1 to {sentences}, separated by blanks."
            )
        facts.append(int(fact) - 1)
    return tuple(facts)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in lower_words(text) if any(map(str.isalnum, word)))


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
    splits = split_at_random(
        list(groups.values()),
        "stories",
        validation=validation,
        test=test,
        seed=seed,
        origin=str(path),
    )
    return {name: [story for same in part for story in same] for name, part in splits.items()}
