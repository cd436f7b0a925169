"""The reader of a file of texts and their classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from attn_jax.tasks.own_tables import lower_words, read_table, split_at_random
from attn_jax.tasks.planted_evidence.text import Text

__all__ = ["read_texts", "split_texts"]

_EVIDENCE = "evidence"


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
    rows = read_table(path, ("text", "label"), _EVIDENCE)
    texts = [_read(cells, where) for where, cells in rows]
    labels = {text.label for text in texts}
    if len(labels) < 2:
        raise ValueError(
            f"{path} has texts of {len(labels)} class{'es' * (len(labels) != 1)}; a classifier "
            "needs two or more: add texts with another label."
        )
    return texts


def _read(cells: Mapping[str, str], where: str) -> Text:
    words = lower_words(cells["text"])
    evidence = lower_words(cells.get(_EVIDENCE, ""))
    absent = [word for word in evidence if word not in words]
    if absent:
        raise ValueError(
            f"{where}: the evidence {absent[0]!r} is no word of the text; write the words as they "
            "stand there, separated by blanks."
        )
    places = tuple(place for place, word in enumerate(words) if word in evidence)
    return Text(tuple(words), cells["label"].strip(), places)


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
    return split_at_random(
        different, "texts", validation=validation, test=test, seed=seed, origin=origin
    )
