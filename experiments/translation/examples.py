"""Test sentences as a translator reads them: what it wrote, and what it looked at meanwhile."""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from attn_jax.plot.fonts import legible
from attn_jax.tasks.translation.tokens import END, Tokenizer
from experiments.translation.alignment_scores import gold_links
from experiments.translation.experiment import TranslationExperiment
from experiments.translation.scores import decode_split, is_exact, longest_target, targets

END_LABEL = "⏎"
LONGEST = 40
"""The most tokens of a source that is drawn."""

_READ = 300


class Reading(NamedTuple):
    """A test sentence, what was written for it, and what was looked at meanwhile.

    Attributes:
        example: The sentence, its translation and the known links.
        text: What was written.
        target: Its tokens, the end included.
        weights: Of every layer, ``(h, t, s)``.
        alignment: The weights of the alignment, ``(t, s)``.
        right: Whether it is the translation.
    """

    example: Any
    text: str
    target: list[str]
    weights: dict[str, np.ndarray]
    alignment: np.ndarray
    right: bool

    @property
    def gold(self) -> dict[str, np.ndarray]:
        """The known links, if what was written has as many tokens as the translation."""
        if not self.example.possible or len(self.target) != len(self.example.target) + 1:
            return {}
        sure, possible = gold_links(self.example, self.alignment.shape)
        return {"sure": sure, "possible": possible}

    @property
    def misaligned(self) -> bool:
        """Whether the strongest weight of any token with known links is at none of them."""
        possible = self.gold.get("possible", np.zeros(self.alignment.shape, bool))
        strongest = possible[np.arange(len(possible)), self.alignment.argmax(-1)]
        return bool((possible.any(-1) & ~strongest).any())


def read_sentences(experiment: TranslationExperiment, params: Any) -> Iterator[Reading]:
    """Read the test sentences short enough to draw and in scripts that a font has.

    Of each length those translated wrongly come first, and no more than some hundreds are read.
    """
    task, model = experiment.task, experiment.sized_model()
    buckets, longest = experiment.splits["test"], longest_target(experiment.splits)
    written = decode_split(model, params, buckets, longest)
    wanted, examples = targets(buckets, longest), task.examples("test")
    right = {i: is_exact(written[i], wanted[i]) for i in written}
    for bucket in buckets:
        shown = [
            at
            for at, i in enumerate(bucket["example"].tolist())
            if len(examples[i].source) <= LONGEST
            and legible(examples[i].source_text + examples[i].target_text)
        ]
        if not shown:
            continue
        # Mistakes come first, as they may be few.
        shown = sorted(shown, key=lambda at: right[bucket["example"][at]])[:_READ]
        numbers = bucket["example"][shown].tolist()
        rows = np.stack([written[i] for i in numbers])
        weights = experiment.weigh(params, bucket["source"][shown], rows)
        alignment = experiment.alignment(weights)
        for at, i in enumerate(numbers):
            yield _reading(
                examples[i],
                task.target_tokenizer.decode(rows[at].tolist()),
                label_target(task.target_tokenizer, rows[at]),
                {name: layer[at] for name, layer in weights.items()},
                alignment[at],
                right=right[i],
            )


def _reading(
    example: Any,
    text: str,
    target: list[str],
    weights: dict[str, np.ndarray],
    alignment: np.ndarray,
    *,
    right: bool,
) -> Reading:
    rows, columns = len(target), len(example.source)
    cut = {name: layer[:, :rows, :columns] for name, layer in weights.items()}
    return Reading(example, text, target, cut, alignment[:rows, :columns], right)


def label_target(tokenizer: Tokenizer, numbers: np.ndarray) -> list[str]:
    """The written tokens as shown to people, up to the end and with it."""
    vocabulary, tokens = tokenizer.vocabulary, []
    for number in numbers.tolist():
        if number == END:
            return [*tokens, END_LABEL]
        tokens.append(vocabulary[number])
    return tokens


def various(readings: Sequence[Reading], count: int) -> list[Reading]:
    """Choose the first reading of each script, then of each length, then the first others."""
    chosen: dict[int, Reading] = {}
    for kind in (lambda r: script(r.example.source_text), lambda r: r.alignment.shape, id):
        seen = {kind(r) for r in chosen.values()}
        for at, reading in enumerate(readings):
            if len(chosen) < count and kind(reading) not in seen:
                seen.add(kind(reading))
                chosen[at] = reading
    return list(chosen.values())


def script(text: str) -> str:
    """The script of most of a text's letters, as Unicode names it."""
    names = [unicodedata.name(c, "").split(" ")[0] for c in text if c.isalpha()]
    return max(sorted(set(names)), key=names.count, default="")
