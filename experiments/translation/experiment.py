"""Experiments that translate: how good the translations are, and how right their alignment."""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import linen as nn

from attn_jax.models import translation_weights
from attn_jax.tasks.translation.tokens import UNKNOWN
from attn_jax.train import LazyLogits, sequence_loss
from attn_jax.train.step import stream
from experiments.experiment import Experiment
from experiments.translation import vocabulary
from experiments.translation.alignment_scores import Score, score_alignments
from experiments.translation.recipes import RECIPES, Recipe
from experiments.translation.scores import (
    decode_split,
    longest_target,
    score_texts,
    score_tokens,
    targets,
)

SCORES = "scores.json"
FRAMES = "alignments"
_JUDGED = 500
_FILMED = 2


@dataclasses.dataclass(frozen=True)
class TranslationExperiment(Experiment):
    """Translate, and compare what the attention looks at with the links that are known.

    After each epoch the alignment of a part of the validation split is scored, `validation/aer` in
    the row. Before training and with each row, the weights over two of its sentences go to
    `alignments/` in the run's folder. The last row has the scores of the test split's greedy
    translations and of its alignment; `scores.json` has those of every head. What
    `alignment_layer`, `alignment_row` and `alignment_links` name in advance is what the report
    calls the alignment.
    """

    recipes: tyro.conf.Suppress[Mapping[str, Recipe]] = dataclasses.field(
        default_factory=lambda: RECIPES
    )
    """What is otherwise by default for a task, by its name."""
    alignment_layer: int = -1
    """Which of the decoder's attentions is the alignment; the last by default."""
    alignment_row: Literal["before", "after"] = "before"
    """A token is aligned by the attention of the step that writes it, or of the step after."""
    alignment_links: Literal["argmax", "threshold"] = "argmax"
    """A token is linked to what it attends to most, or to all with weights above the threshold."""
    alignment_threshold: float = 0.3
    """The least weight that links by threshold."""

    @functools.cached_property
    def splits(self) -> Mapping[str, Sequence[Mapping[str, np.ndarray]]]:
        """The task's buckets, made once."""
        return self.task.load()

    def __post_init__(self) -> None:
        """Refuse an alignment that there cannot be."""
        layers = getattr(self.model, "num_layers", 1)
        if not -layers <= self.alignment_layer < layers:
            raise ValueError(
                f"alignment_layer={self.alignment_layer} is none of the {layers} of "
                f"{type(self.model).__name__}; count from 0, or from the last by -1."
            )
        if not 0 < self.alignment_threshold <= 1:
            raise ValueError(
                f"alignment_threshold={self.alignment_threshold} must be above 0 and at most 1, as "
                "weights are."
            )

    def options(self) -> list[str]:
        """Without the recipes, whose choice stands in the model, the task and the training."""
        return [name for name in super().options() if name != "recipes"]

    def suited_to(self, task: Any) -> "TranslationExperiment":
        """The experiment with the recipe for this task, if it has one."""
        recipe = self.recipes.get(task.name)
        if recipe is None:
            return self
        return dataclasses.replace(
            self,
            model=self.model.clone(dropout_rate=recipe.dropout_rate),
            task=dataclasses.replace(self.task, train=recipe.examples),
            train=dataclasses.replace(self.train, epochs=recipe.epochs),
        )

    def init(self, rng: jax.Array, batch: Mapping[str, jax.Array]) -> Any:
        """Make fresh parameters."""
        return self.sized_model().init(rng, batch["source"], batch["target"])["params"]

    def apply(
        self,
        params: Any,
        batch: Mapping[str, jax.Array],
        *,
        rng: jax.Array | None = None,
        train: bool = False,
    ) -> LazyLogits:
        """Run the model on what should be written: logits of each token, which the loss computes.

        They are many where a vocabulary is large, and half of the work.
        """
        rngs = {} if rng is None else {"dropout": rng}
        told = self.sized_model().apply(
            {"params": params},
            batch["source"],
            batch["target"],
            train=train,
            rngs=rngs,
            method="told_from",
        )
        return LazyLogits(jnp.asarray(told), **params["head"])

    def loss(self, outputs: LazyLogits, batch: Mapping[str, jax.Array]) -> Any:
        """Cross-entropy and accuracy of tokens, and the share of exact sentences."""
        smoothing = self.train.label_smoothing
        return sequence_loss(outputs, batch, unknown=UNKNOWN, label_smoothing=smoothing)

    def begin(self, run: Path) -> None:
        """Keep the tokenisers, and what tells the pairs from others."""
        words = self._wording()
        run.mkdir(parents=True, exist_ok=True)
        vocabulary.keep(run, words)

    def check(self, run: Path) -> None:
        """Refuse a run that was trained with other vocabularies or pairs."""
        vocabulary.check(run, self._wording())

    def check_params(self, params: Any) -> None:
        """Refuse parameters of another model or vocabulary."""
        require_params(self.sized_model(), params)

    def on_epoch(self, params: Any, row: Mapping[str, Any], run: Path) -> Mapping[str, float]:
        """Score the alignment and keep that of some sentences; in the end score the test split."""
        self.on_log(params, row, run)
        found = {}
        if self.task.has_gold:
            scores = self._align(params, "validation", _JUDGED)
            found["validation/aer"] = self.named(scores).aer
        return found | self._test(params, run) if row["epoch"] == self.train.epochs else found

    def on_log(self, params: Any, row: Mapping[str, Any], run: Path) -> None:
        """Keep the alignment of some sentences, that before training too."""
        if not (run / FRAMES).exists():
            self._film(self._fresh(), run, step=0)
        self._film(params, run, row["step"])

    def draw(self, params: Any, run: Path) -> None:
        """Draw alignments, how they came to be, and what there is to know of every head."""
        from experiments.translation.figures import draw_figures

        draw_figures(self, params, run)

    def named(self, scores: Sequence[Score]) -> Score:
        """The score of the alignment named in advance, all heads of its layer together."""
        wanted = ("mean", self.alignment_row, self.alignment_links)
        of_layers = [s for s in scores if (s.head, s.row, s.links) == wanted]
        return of_layers[self.alignment_layer]

    def weigh(self, params: Any, source: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
        """The weights of every layer for these rows of numbers, (n, h, t, s)."""
        return jax.device_get(_look(self.sized_model())(params, source, target))

    def alignment(self, weights: Mapping[str, np.ndarray]) -> np.ndarray:
        """The weights of the alignment named in advance, (n, t, s)."""
        mean = list(weights.values())[self.alignment_layer].mean(1)
        if self.alignment_row == "before":
            return mean
        after = np.concatenate([mean[:, 1:], mean[:, -1:]], axis=1)
        # After the end there is no step: it keeps its own.
        return np.where(after.any(-1, keepdims=True), after, mean)

    def _wording(self) -> vocabulary.Wording:
        return vocabulary.Wording(
            self.task.source_tokenizer,
            self.task.target_tokenizer,
            sorted({bucket["source"].shape[1] for bucket in self.splits["train"]}),
            longest_target(self.splits),
            vocabulary.digest({split: self.task.examples(split) for split in self.splits}),
        )

    def _align(self, params: Any, split: str, most: int | None = None) -> list[Score]:
        buckets = [first(bucket, most) for bucket in self.splits[split]]
        examples, model = self.task.examples(split), self.sized_model()
        return score_alignments(model, params, buckets, examples, self.alignment_threshold)

    def _fresh(self) -> Any:
        """The parameters that training began with."""
        batch = self.task.prepare(first(self.splits["validation"][0], 1))
        return self.init(stream(jax.random.key(self.train.seed), "init"), batch)

    def _film(self, params: Any, run: Path, step: int) -> None:
        bucket = first(self.splits["validation"][0], _FILMED)
        weights = self.alignment(self.weigh(params, bucket["source"], bucket["target"]))
        path = run / FRAMES / f"{step:08}.npz"
        path.parent.mkdir(exist_ok=True)
        np.savez(path, weights=weights, example=bucket["example"])

    def _test(self, params: Any, run: Path) -> dict[str, float]:
        """Translate the test split and score all there is."""
        buckets, longest = self.splits["test"], longest_target(self.splits)
        written = decode_split(self.sized_model(), params, buckets, longest)
        wanted, examples = targets(buckets, longest), self.task.examples("test")
        texts = [self.task.target_tokenizer.decode(written[i].tolist()) for i in written]
        scores, signatures = score_texts(texts, [examples[i].target_text for i in written])
        scores |= score_tokens(*(np.stack([x[i] for i in written]) for x in (written, wanted)))
        row = {f"greedy/{name}": value for name, value in scores.items()}
        aligned = self._align(params, "test") if self.task.has_gold else []
        kept = {"signatures": signatures, "alignment": [score._asdict() for score in aligned]}
        (run / SCORES).write_text(json.dumps(kept, indent=1), encoding="utf-8")
        return row | (self._alignment_row(aligned) if aligned else {})

    def _alignment_row(self, scores: Sequence[Score]) -> dict[str, float]:
        """The named score in full, and the error rates of all others."""
        named = self.named(scores)
        row = {
            "test/aer": named.aer,
            "test/alignment_precision": named.precision,
            "test/alignment_recall": named.recall,
            "test/alignment_f": named.f,
        }
        others = {"/".join(filter(None, s[:4])): s.aer for s in scores}
        return row | {f"aer/{name}": aer for name, aer in others.items()}


def require_params(model: nn.Module, params: Any) -> None:
    """Refuse, by a ValueError, parameters that a translator has not, naming the first."""
    token = jnp.ones((1, 1), jnp.int32)
    expected = jax.eval_shape(model.init, jax.random.key(0), token, token)["params"]
    shapes = [
        {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree.leaves_with_path(tree)}
        for tree in (params, expected)
    ]
    for name in sorted(set().union(*shapes)):
        found, wanted = (each.get(name, "nothing") for each in shapes)
        if found != wanted:
            raise ValueError(
                f"the checkpoint is of another model or vocabulary: params{name} is {found}, where "
                f"this run's {type(model).__name__} has {wanted}; bring the run's own files back."
            )


def first(bucket: Mapping[str, np.ndarray], most: int | None) -> dict[str, np.ndarray]:
    """The first rows of a bucket."""
    return {name: array[:most] for name, array in bucket.items()}


@functools.cache
def _look(model: nn.Module) -> Callable[..., dict[str, jax.Array]]:
    @jax.jit
    def look(params: Any, source: jax.Array, target: jax.Array) -> dict[str, jax.Array]:
        return translation_weights(model, {"params": params}, source, target)

    return look
