"""A trained translator out of its run's folder, which needs its training pairs no more."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import linen as nn

from experiments.command import experiment_of, find_run, trained
from experiments.translation import vocabulary
from experiments.translation.experiment import TranslationExperiment, require_params
from experiments.translation.scores import decoder

AT_ONCE = 64
"""The most texts of a batch."""


class Translation(NamedTuple):
    """What was written for a text.

    Attributes:
        numbers: Of the tokens, (t,), ended and padded.
        alignment: What each looked at, by the attention that the experiment names, (t, s).
    """

    numbers: np.ndarray
    alignment: np.ndarray


class Translator(NamedTuple):
    """A model with all it takes to use it.

    Attributes:
        run: The folder it is from.
        experiment: What trained it.
        model: The network.
        params: Its parameters.
        words: What it reads and writes with.
    """

    run: Path
    experiment: TranslationExperiment
    model: nn.Module
    params: Any
    words: vocabulary.Wording

    def translate(
        self, texts: Sequence[str], *, beam: int = 0, length_penalty: float = 0.6
    ) -> list[Translation]:
        """Translate normalised texts in one batch.

        Args:
            texts: At most `AT_ONCE`.
            beam: How many translations to pursue; 0 writes the likeliest token each time.
            length_penalty: How far a beam favours long translations.
        """
        rows = [self.words.source.encode(text) for text in texts]
        longest = max(map(len, rows))
        width = next((length for length in self.words.read if length >= longest), longest)
        # A single text is read alone; else all batches have one shape.
        source = np.zeros((1 if len(rows) == 1 else AT_ONCE, width), np.int32)
        for row, numbers in zip(source, rows, strict=False):
            row[: len(numbers)] = numbers
        decode = decoder(self.model, self.words.written, beam, length_penalty)
        tokens, weights = decode(self.params, source)
        alignment = self.experiment.alignment({n: np.asarray(w) for n, w in weights.items()})
        both = zip(np.asarray(tokens), alignment, strict=True)
        return [Translation(*each) for each in both][: len(rows)]


def open_translator(run: Path, checkpoint: str | int = "last") -> Translator:
    """Open a run.

    Args:
        run: Its folder, or its experiment's for the last run.
        checkpoint: `last`, `best` or a step.

    Raises:
        ValueError: If it translates nothing, or its parts do not go together.
        FileNotFoundError: If there is no such run or checkpoint.
    """
    run = find_run(run)
    experiment = experiment_of(run)
    if not isinstance(experiment, TranslationExperiment):
        raise ValueError(
            f"{run} is a run of {type(experiment).__name__}, which translates nothing; give a run "
            "of an experiment translation_*."
        )
    words, params = vocabulary.read(run), trained(run, experiment, checkpoint)
    model = experiment.model.clone(
        source_vocabulary=words.source.size,  # pyright: ignore[reportCallIssue]
        target_vocabulary=words.target.size,
    )
    require_params(model, params)
    return Translator(run, experiment, model, params, words)
