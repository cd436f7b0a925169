"""Experiments that translate, and score both the translations and their alignment."""

import contextlib
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from attn_jax.tasks.translation.tokens import UNKNOWN
from attn_jax.train import DamagedError, LazyLogits, sequence_loss
from attn_jax.train.step import stream
from experiments.experiment import Experiment
from experiments.reopen import trained
from experiments.translation.alignment import (
    Alignment,
    damaged_frames,
    frame_steps,
    write_frame,
)
from experiments.translation.alignment_scores import COUNTS
from experiments.translation.evaluation import Evaluation, first
from experiments.translation.recipes import RECIPES, Recipe
from experiments.translation.scores import restore_scores, write_scores
from experiments.translation.vocabulary import (
    check_vocabulary,
    make_vocabulary,
    write_vocabulary,
)

_SCORED = 500
_FILMED = 2


@dataclasses.dataclass(frozen=True)
class TranslationExperiment(Experiment):
    """Translate, and compare the attention with the links that are known.

    After each epoch the alignment of a part of the validation split is scored: every link counts
    in `validation/aer_all_words`, and `validation/aer_linked_words` leaves out target words without
    gold links. Before training and with each row, the alignment of two of its sentences goes to
    `alignments/` in the run's folder. The last row has the scores of the test split's greedy
    translations and of its alignment; `scores.json` has those of every head. The options
    `alignment_*` choose in advance what the report calls the alignment.
    """

    inputs: ClassVar[tuple[str, ...]] = ("source", "target")

    recipes: tyro.conf.Suppress[Mapping[str, Recipe]] = dataclasses.field(
        default_factory=lambda: RECIPES
    )
    """The defaults that differ for a task, by its name."""
    alignment_layer: int = -1
    """Index of the decoder's attention that is the alignment; the last one by default."""
    alignment_row: Literal["before", "after"] = "before"
    """Align a token by the attention of the step that writes it, or of the step after it."""
    alignment_links: Literal["argmax", "threshold"] = "argmax"
    """Link a token to the source token with the largest weight, or to all above the threshold."""
    alignment_threshold: float = 0.3
    """The smallest weight that is a link, if tokens are linked by threshold."""

    @functools.cached_property
    def splits(self) -> Mapping[str, Sequence[Mapping[str, np.ndarray]]]:
        """The task's buckets, made once."""
        return self.task.load()

    @functools.cached_property
    def alignment(self) -> Alignment:
        """The attention that is the alignment."""
        return Alignment(
            self.alignment_layer,
            self.alignment_row,
            self.alignment_links,
            self.alignment_threshold,
        )

    def __post_init__(self) -> None:
        """Check that the model has the alignment."""
        layers = getattr(self.model, "num_layers", 1)
        if not -layers <= self.alignment.layer < layers:
            raise ValueError(
                f"alignment_layer={self.alignment_layer} is none of the {layers} of "
                f"{type(self.model).__name__}; count from 0, or from the last by -1."
            )

    def options(self) -> list[str]:
        """Return the options but the recipes, whose values are in model, task and training."""
        return [name for name in super().options() if name != "recipes"]

    def suited_to(self, task: Any) -> "TranslationExperiment":
        """Return the experiment with the recipe for this task, if it has one."""
        recipe = self.recipes.get(task.name)
        if recipe is None:
            return self
        return dataclasses.replace(
            self,
            model=self.model.clone(dropout_rate=recipe.dropout_rate),
            task=dataclasses.replace(self.task, train=recipe.examples),
            train=dataclasses.replace(self.train, epochs=recipe.epochs),
        )

    def apply(
        self,
        params: Any,
        batch: Mapping[str, jax.Array],
        *,
        rng: jax.Array | None = None,
        train: bool = False,
    ) -> LazyLogits:
        """Run the model on sources and their reference translations.

        The loss computes the logits from the features: for a large vocabulary they are many, and
        half of the work.
        """
        rngs = {} if rng is None else {"dropout": rng}
        features = self.sized_model().apply(
            {"params": params},
            batch["source"],
            batch["target"],
            train=train,
            rngs=rngs,
            method="decode_features",
        )
        return LazyLogits(jnp.asarray(features), **params["head"])

    def loss(self, outputs: LazyLogits, batch: Mapping[str, jax.Array]) -> Any:
        """Return cross-entropy, the accuracy of tokens, and the fraction of exact sentences."""
        smoothing = self.train.label_smoothing
        return sequence_loss(outputs, batch, unknown=UNKNOWN, label_smoothing=smoothing)

    def begin(self, run: Path) -> None:
        """Write the vocabulary, by which the run is reopened, to its folder."""
        vocabulary = make_vocabulary(self.task, self.splits)
        run.mkdir(parents=True, exist_ok=True)
        write_vocabulary(run, vocabulary)

    def check(self, run: Path) -> None:
        """Refuse a run that was trained with other vocabularies or pairs."""
        check_vocabulary(run, make_vocabulary(self.task, self.splits))

    def example(self) -> Mapping[str, jax.Array]:
        """Return a pair of one token, whose shape is enough to know that of the parameters."""
        return dict.fromkeys(("source", "target"), jnp.ones((1, 1), jnp.int32))

    def evaluation(self, params: Any) -> Evaluation:
        """Return the model with these parameters, ready to be evaluated."""
        return Evaluation(self.sized_model(), params, self.task, self.splits, self.alignment)

    def on_epoch(self, params: Any, row: Mapping[str, Any], run: Path) -> Mapping[str, float]:
        """Score the alignment and write a frame; after the last epoch, score the test split."""
        self.on_log(params, row, run)
        evaluation, metrics = self.evaluation(params), {}
        if self.task.has_gold:
            scores = evaluation.score_alignments("validation", _SCORED)
            chosen = self.alignment.select_score(scores)._asdict()
            rates = {f"validation/aer_{count}": chosen[f"aer_{count}"] for count in COUNTS}
            metrics |= {name: rate for name, rate in rates.items() if rate is not None}
        if row["epoch"] == self.train.epochs:
            test_metrics, scores = evaluation.score_test()
            write_scores(run, scores)
            metrics |= test_metrics
        return metrics

    def on_log(self, params: Any, row: Mapping[str, Any], run: Path) -> None:
        """Write the alignment of some sentences, at first also that before training."""
        frames = {row["step"]: params}
        if 0 not in frame_steps(run):
            frames[0] = self._initial_params()
        for step, parameters in frames.items():
            self._write_frame(parameters, run, step)

    def _write_frame(self, params: Any, run: Path, step: int) -> None:
        write_frame(run, step, *self.evaluation(params).align("validation", _FILMED))

    def draw(self, params: Any, run: Path) -> None:
        """Draw alignments, how they changed over training, and the scores of every head."""
        # Matplotlib takes long to import, and the help does without it.
        from experiments.translation.figures import draw_figures

        evaluation = self.evaluation(params)
        self._restore_frames(run)
        restore_scores(run, lambda: evaluation.score_test()[1])
        draw_figures(evaluation, run)

    def _restore_frames(self, run: Path) -> None:
        """Write damaged frames again, where the parameters of their step are known."""
        for step in damaged_frames(run):
            with contextlib.suppress(FileNotFoundError, DamagedError):
                params = trained(run, self, step) if step else self._initial_params()
                self._write_frame(params, run, step)

    def _initial_params(self) -> Any:
        """Return the parameters that training began with."""
        batch = self.task.prepare(first(self.splits["validation"][0], 1))
        return self.init(stream(jax.random.key(self.train.seed), "init"), batch)
