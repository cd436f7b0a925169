"""Experiments that look things up in long sequences, with a summary of attention each epoch."""

import contextlib
import dataclasses
import functools
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from attn_jax import ops
from attn_jax.hooks import Site, capture, intervene
from attn_jax.train import DamagedError, classification_loss, read_metrics
from attn_jax.train.disk.manifest import replacing
from attn_jax.train.disk.stored import StoredFileError, read_arrays, set_aside
from attn_jax.train.protocols import WEIGHT
from experiments.experiment import Experiment
from experiments.reopen import trained

_TILES = 128
_SUMMARY = ("entropy", "received", "needle_share", "asked")


@dataclasses.dataclass(frozen=True)
class RetrievalExperiment(Experiment):
    """Answer questions about cards with a model that has one attention, called `attention`.

    After each epoch a summary of the attention over the first validation sequence goes to
    `summaries/` in the run's folder, and the mean entropy of questions and the mean weight of
    needles to the row. The last row also has `uniform/accuracy`, the accuracy on the test split
    with equal weights.
    """

    inputs: ClassVar[tuple[str, ...]] = ("name", "value")
    has_dropout: ClassVar[bool] = False

    def loss(self, outputs: jax.Array, batch: Mapping[str, jax.Array]) -> Any:
        """Return cross-entropy and accuracy, over the questions of all sequences."""
        label = batch["label"]
        flat = {"label": label.reshape(-1)}
        if WEIGHT in batch:
            flat[WEIGHT] = jnp.repeat(batch[WEIGHT], label.shape[-1])
        logits = outputs.reshape(-1, outputs.shape[-1])
        return classification_loss(logits, flat, label_smoothing=self.train.label_smoothing)

    def example(self) -> Mapping[str, jax.Array]:
        """Return a short sequence, whose length no parameter depends on."""
        cards = jnp.zeros((1, self.task.short_length), jnp.int32)
        return {"name": cards, "value": cards}

    def on_epoch(self, params: Any, row: Mapping[str, Any], run: Path) -> Mapping[str, float]:
        """Write a summary of the attention over one sequence."""
        splits = self.task.load()
        first = {name: array[0] for name, array in splits["validation"][0].items()}
        summary = self._write_summary(params, run, row["epoch"])
        entropy = summary["entropy"][:, -len(first["needle"]) :]
        metrics = {
            "attention/entropy": float(entropy.mean()),
            "attention/needle_share": float(summary["needle_share"].mean()),
        }
        if row["epoch"] == self.train.epochs:
            correct = _uniform_answers(self.sized_model())(params, splits["test"][0])
            metrics["uniform/accuracy"] = float(correct.mean())
        return metrics

    def _write_summary(self, params: Any, run: Path, epoch: int) -> dict[str, np.ndarray]:
        first = {name: array[0] for name, array in self.task.load()["validation"][0].items()}
        summary = jax.device_get(_summarizer(self.sized_model())(params, first))
        path = run / "summaries" / f"{epoch:04}.npz"
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as draft, draft.open("wb") as file:
            np.savez(file, **summary)
        return summary

    def _restore_summaries(self, run: Path) -> None:
        """Write damaged summaries again, where the parameters of their epoch are known."""
        steps = {f"{row['epoch']:04}": row["step"] for row in read_metrics(run) if "epoch" in row}
        for path in sorted((run / "summaries").glob("*.npz")):
            try:
                _read_summary(path)
            except StoredFileError as error:
                then = "is written again if there is a checkpoint of its epoch"
                print(f"{error}; {set_aside(path)}, and {then}.", file=sys.stderr)
                with contextlib.suppress(FileNotFoundError, DamagedError):
                    params = trained(run, self, steps.get(path.stem, "none"))
                    self._write_summary(params, run, int(path.stem))

    def draw(self, params: Any, run: Path) -> None:
        """Draw the summaries of all epochs, and the last one in full."""
        from attn_jax import plot
        from experiments.report import Sheet, save_sheet
        from experiments.report.figure_words import viewer_label

        self._restore_summaries(run)
        summaries = _read_summaries(run)
        needles = self.task.load()["validation"][0]["needle"][0]
        over_training = plot.summaries(
            np.stack([each["asked"].mean(0) for each in summaries]),
            entropy=[each["entropy"][:, -len(needles) :].mean() for each in summaries],
            share=[each["needle_share"].mean() for each in summaries],
            marks=needles,
        )
        caption = (
            f"The attention of {len(needles)} questions over the {self.task.length:,} tokens of "
            "one validation sequence. Triangles mark the cards that answer them."
        )
        last = read_metrics(run)[-1]
        if "uniform/accuracy" in last:
            caption += (
                f" After training, {last['test/accuracy']:.2%} of the test questions are answered "
                f"correctly, and {last['uniform/accuracy']:.2%} with equal weights; "
                f"{1 / self.task.num_values:.0%} is chance."
            )
        save_sheet(run, Sheet("summaries", "Where it learns to look", caption, over_training))
        caption = (
            "All tokens of the same sequence after the last epoch, from the summary alone. The "
            "diagonal is the weight of each token on itself; the questions are the last queries."
        )
        whole = plot.summary(types.SimpleNamespace(**summaries[-1]))
        save_sheet(run, Sheet("summary", "The whole map, never stored", caption, whole))
        fields = dict.fromkeys(ops.AttentionSummary._fields) | summaries[-1]
        title = viewer_label("The attention of all tokens")
        viewer = plot.viewer(types.SimpleNamespace(**fields), title=title)
        caption = "The same map, to explore."
        save_sheet(run, Sheet("viewer", "Look around", caption, viewer))


def _read_summaries(run: Path) -> list[dict[str, np.ndarray]]:
    """Return the summaries of all epochs, in order."""
    summaries = [_read_summary(path) for path in sorted((run / "summaries").glob("*.npz"))]
    if not summaries:
        raise StoredFileError(f"{run / 'summaries'} has no whole summary; train again.")
    return summaries


def _read_summary(path: Path) -> dict[str, np.ndarray]:
    arrays = read_arrays(path)
    if not {*_SUMMARY} <= {*arrays}:
        raise StoredFileError(f"{path} is not a summary of attention")
    return arrays


@functools.cache
def _summarizer(model: nn.Module) -> Callable[..., dict[str, jax.Array]]:
    """Build a jitted function from parameters and a sequence to a summary of its attention.

    Besides the summary's fields it returns `needle_share` (h, questions), the weight of each
    question's needle, and `asked` (h, tokens), the mean weight of each token over the questions.
    """

    @jax.jit
    def summarize(params: Any, batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        tokens, needle = len(batch["name"]), batch["needle"]
        tiles = min(_TILES, tokens)
        fields = ops.Summary(
            entropy=True, received=True, distance=True, max_logit=True, pooled=(tiles, tiles)
        )
        spec = {"attention.query": None, "attention.key": None, "attention.summary": fields}
        apply = capture(model.apply, spec)
        _, captured = apply({"params": params}, batch["name"], batch["value"])
        rows = jnp.arange(tokens - len(needle), tokens)
        query, key = captured["attention.query"], captured["attention.key"]
        weights = ops.attention_rows(query, key, rows=rows)
        share = weights[:, jnp.arange(len(needle)), needle]
        summary = captured["attention.summary"]._asdict()
        summary |= {"needle_share": share, "asked": weights.mean(-2)}
        return {name: array for name, array in summary.items() if array is not None}

    return summarize


@functools.cache
def _uniform_answers(model: nn.Module) -> Callable[..., jax.Array]:
    """Build a jitted function from parameters and sequences to whether answers are correct.

    Every token has the same weight, instead of the one that the model gives it.
    """

    def equal(weights: jax.Array, site: Site) -> jax.Array:
        return jnp.full_like(weights, 1 / weights.shape[-1])

    apply = intervene(model.apply, {"attention.weights": equal})

    @jax.jit
    def correct(params: Any, batch: Mapping[str, jax.Array]) -> jax.Array:
        def answer(sequence: Mapping[str, jax.Array]) -> jax.Array:
            logits = apply({"params": params}, sequence["name"], sequence["value"])
            return logits.argmax(-1) == sequence["label"]

        # One sequence at a time, because editing weights needs all those of a sequence at once.
        return jax.lax.map(answer, dict(batch))

    return correct
