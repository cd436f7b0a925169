"""Translated test sentences, with the attention weights of each step."""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from attn_jax.plot.fonts import legible
from attn_jax.tasks.translation.tokens import END, Tokenizer
from experiments.translation.alignment_scores import gold_links
from experiments.translation.evaluation import Evaluation
from experiments.translation.scores import is_exact

END_LABEL = "⏎"
MAX_SOURCE_TOKENS = 40
"""The most tokens of a source sentence that is drawn."""

_PER_BUCKET = 300


class DecodedExample(NamedTuple):
    """A test sentence, its translation by the model, and the weights of each step.

    Attributes:
        example: The sentence, its reference translation and the known links.
        text: The model's translation.
        target: Its tokens, the end included.
        weights: Weights of every layer, (h, t, s).
        alignment: The weights of the alignment, (t, s).
        exact: Whether the translation is the reference.
    """

    example: Any
    text: str
    target: list[str]
    weights: dict[str, np.ndarray]
    alignment: np.ndarray
    exact: bool

    @property
    def gold(self) -> dict[str, np.ndarray]:
        """The known links, if the translation has as many tokens as the reference."""
        if not self.example.possible or len(self.target) != len(self.example.target) + 1:
            return {}
        sure, possible = gold_links(self.example, self.alignment.shape)
        return {"sure": sure, "possible": possible}

    @property
    def misaligned(self) -> bool:
        """Whether the largest weight of any token with known links is at none of them."""
        possible = self.gold.get("possible", np.zeros(self.alignment.shape, bool))
        at_largest = possible[np.arange(len(possible)), self.alignment.argmax(-1)]
        return bool((possible.any(-1) & ~at_largest).any())


def decode_examples(evaluation: Evaluation) -> Iterator[DecodedExample]:
    """Translate the test sentences that are short enough to draw, in scripts that a font has.

    In each bucket those translated wrongly come first, and no more than some hundreds are decoded.
    """
    translations, references = evaluation.decode_test()
    examples = evaluation.task.examples("test")
    exact = {i: is_exact(translations[i], references[i]) for i in translations}
    for bucket in evaluation.splits["test"]:
        rows = [
            row for row, i in enumerate(bucket["example"].tolist()) if _is_drawable(examples[i])
        ]
        if rows:
            # Mistakes come first, because there may be few.
            rows = sorted(rows, key=lambda row: exact[bucket["example"][row]])[:_PER_BUCKET]
            numbers = bucket["example"][rows].tolist()
            tokens = np.stack([translations[i] for i in numbers])
            weights = evaluation.weigh(bucket["source"][rows], tokens)
            yield from _decoded(evaluation, numbers, tokens, weights, [exact[i] for i in numbers])


def _is_drawable(example: Any) -> bool:
    short = len(example.source) <= MAX_SOURCE_TOKENS
    return short and legible(example.source_text + example.target_text)


def _decoded(
    evaluation: Evaluation,
    numbers: Sequence[int],
    tokens: np.ndarray,
    weights: dict[str, np.ndarray],
    exact: Sequence[bool],
) -> Iterator[DecodedExample]:
    """Cut the padding off the tokens and weights of a batch of test sentences."""
    examples, tokenizer = evaluation.task.examples("test"), evaluation.task.target_tokenizer
    alignment = evaluation.alignment.select(weights)
    for row, number in enumerate(numbers):
        target = label_target(tokenizer, tokens[row])
        size = np.s_[..., : len(target), : len(examples[number].source)]
        yield DecodedExample(
            examples[number],
            tokenizer.decode(tokens[row].tolist()),
            target,
            {name: layer[row][size] for name, layer in weights.items()},
            alignment[row][size],
            exact[row],
        )


def label_target(tokenizer: Tokenizer, numbers: np.ndarray) -> list[str]:
    """Return the tokens of a translation as people read them, up to the end and including it."""
    vocabulary, tokens = tokenizer.vocabulary, []
    for number in numbers.tolist():
        if number == END:
            return [*tokens, END_LABEL]
        tokens.append(vocabulary[number])
    return tokens


def diverse(examples: Sequence[DecodedExample], count: int) -> list[DecodedExample]:
    """Choose the first example of each script, then of each length, then the first others."""
    chosen: dict[int, DecodedExample] = {}
    for kind in (lambda e: script(e.example.source_text), lambda e: e.alignment.shape, id):
        kinds = {kind(example) for example in chosen.values()}
        for number, example in enumerate(examples):
            if len(chosen) < count and kind(example) not in kinds:
                kinds.add(kind(example))
                chosen[number] = example
    return list(chosen.values())


def script(text: str) -> str:
    """Return the script of most of a text's letters, by its name in Unicode."""
    names = [unicodedata.name(c, "").split(" ")[0] for c in text if c.isalpha()]
    return max(sorted(set(names)), key=names.count, default="")
