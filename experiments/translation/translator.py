"""A trained translator, opened from its run's folder without its training pairs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

from experiments.experiment import require_params
from experiments.reopen import experiment_of, find_run, trained
from experiments.translation.experiment import TranslationExperiment
from experiments.translation.scores import decoder
from experiments.translation.vocabulary import Vocabulary, read_vocabulary

BATCH_SIZE = 64
"""The most texts in a batch."""


class Translation(NamedTuple):
    """The translation of a text.

    Attributes:
        numbers: Token numbers, (t,), ended and padded.
        alignment: The weights of the alignment that the experiment chooses, (t, s).
    """

    numbers: np.ndarray
    alignment: np.ndarray


class Translator(NamedTuple):
    """A model with everything needed to use it.

    Attributes:
        run: The run's folder.
        experiment: The experiment that trained the model.
        model: The network.
        params: The network's parameters.
        vocabulary: The tokenizers and lengths of the run.
    """

    run: Path
    experiment: TranslationExperiment
    model: nn.Module
    params: Any
    vocabulary: Vocabulary

    def translate(
        self, texts: Sequence[str], *, beam: int = 0, length_penalty: float = 0.6
    ) -> list[Translation]:
        """Translate normalized texts in one batch.

        Args:
            texts: At most `BATCH_SIZE` texts.
            beam: Hypotheses of beam search; 0 writes the most likely token at each step.
            length_penalty: How strongly beam search favors longer translations.
        """
        rows = [self.vocabulary.source.encode(text) for text in texts]
        longest = max(map(len, rows))
        lengths = self.vocabulary.source_lengths
        width = next((length for length in lengths if length >= longest), longest)
        # A single text has a batch of its own; all other batches have one shape.
        source = np.zeros((1 if len(rows) == 1 else BATCH_SIZE, width), np.int32)
        for row, numbers in zip(source, rows, strict=False):
            row[: len(numbers)] = numbers
        decode = decoder(self.model, self.vocabulary.max_target_length, beam, length_penalty)
        tokens, weights = decode(self.params, source)
        alignment = self.experiment.alignment.select({n: np.asarray(w) for n, w in weights.items()})
        both = zip(np.asarray(tokens), alignment, strict=True)
        return [Translation(*each) for each in both][: len(rows)]


def open_translator(run: Path, checkpoint: str | int = "last") -> Translator:
    """Open a run.

    Args:
        run: The run's folder, or its experiment's for the last run.
        checkpoint: `last`, `best` or a step.

    Raises:
        ValueError: If the run is not of a translation experiment, or its files do not fit.
        FileNotFoundError: If there is no such run or checkpoint.
    """
    run = find_run(run)
    experiment = experiment_of(run)
    if not isinstance(experiment, TranslationExperiment):
        raise ValueError(
            f"{run} is a run of {type(experiment).__name__}, which does not translate; give a run "
            "of a translation_* experiment."
        )
    if not experiment.model.alignment_pattern:
        raise ValueError(
            f"{run} is a run of {type(experiment.model).__name__}, which has no attention, and "
            "so no alignment to show; give a run of another translation_* experiment."
        )
    vocabulary, params = read_vocabulary(run), trained(run, experiment, checkpoint)
    model = experiment.model.clone(
        source_vocabulary=vocabulary.source.size,  # pyright: ignore[reportCallIssue]
        target_vocabulary=vocabulary.target.size,
    )
    token = np.ones((1, 1), np.int32)
    expected = jax.eval_shape(model.init, jax.random.key(0), token, token)["params"]
    require_params(model, expected, params)
    return Translator(run, experiment, model, params, vocabulary)
