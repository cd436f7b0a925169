"""The content of a page about one model and its input."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from experiments.report import Sheet

Pairs = Sequence[tuple[str, str]]


class Text(NamedTuple):
    """A text as the model reads it.

    Attributes:
        title: The heading.
        text: The text.
        tokens: The pieces that the tokenizer makes of it.
    """

    title: str
    text: str
    tokens: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Look:
    """A model's attention on an input.

    Attributes:
        headline: The sizes at the top of the page, by name.
        texts: The texts that the model read or wrote.
        sheets: The figures in their order on the page, drawn as they are taken.
        captured: The captured values by hook point, and the inputs they belong to.
        judgment: How far the maps can be believed: a sentence or two.
    """

    headline: Pairs
    texts: Sequence[Text]
    sheets: Iterable[Sheet]
    captured: Mapping[str, np.ndarray]
    judgment: str
