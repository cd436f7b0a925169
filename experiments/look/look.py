"""The content of a page about one model and its input."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from attn_jax.measure import ReportCard
from experiments.report import Sheet

Pairs = Sequence[tuple[str, str]]


class Choice(NamedTuple):
    """The map in the figures.

    Attributes:
        layer: The layer; a negative number counts from the last.
        head: The head, or None for the mean of all heads.
    """

    layer: int = -1
    head: int | None = None

    def checked(self, layers: int, heads: int) -> "Choice":
        """Return the same choice in numbers that are not negative.

        Args:
            layers: The number of layers.
            heads: The number of heads.

        Raises:
            ValueError: If there is no such layer or head.
        """
        head = None if self.head is None else _index("head", self.head, heads)
        return Choice(_index("layer", self.layer, layers), head)


def _index(kind: str, number: int, count: int) -> int:
    if not -count <= number < count:
        raise ValueError(
            f"--{kind} {number} is none of the {count} {kind}s of this model; choose 0 to "
            f"{count - 1}, or -1 for the last."
        )
    return number % count


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
        sheets: The figures in their order on the page, drawn as they are taken.
        captured: The captured values by hook point, and the inputs they belong to.
        judgment: How far the maps can be believed, and what the report card judges, if there is
            one: a sentence or two.
        inputs_code: The lines of Python that make `inputs`, the model's arguments, from `model`.
        texts: The texts that the model read or wrote.
        facts: What else there is to say about the input, such as a picture's size, by name.
        judge: Makes the report card, which takes a while; None where there is no prediction.
    """

    headline: Pairs
    sheets: Iterable[Sheet]
    captured: Mapping[str, np.ndarray]
    judgment: str
    inputs_code: str
    texts: Sequence[Text] = ()
    facts: Pairs = ()
    judge: Callable[[], ReportCard] | None = None
