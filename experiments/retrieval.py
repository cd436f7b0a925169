"""Experiments that look things up in long sequences, and keep how their attention comes to be."""

import dataclasses
import functools
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from attn_jax import ops
from attn_jax.hooks import Site, capture, intervene
from attn_jax.train import classification_loss, read_metrics
from attn_jax.train.protocols import WEIGHT
from experiments.experiment import Experiment

_TILES = 128


@dataclasses.dataclass(frozen=True)
class RetrievalExperiment(Experiment):
    """Answer questions about cards by a model with one attention, called `attention`.

    After each epoch a summary of the attention over the first validation sequence goes to
    `summaries/` in the run's folder, and the question's mean entropy and the needle's mean weight
    to the row; to the last row also `uniform/accuracy`, that of the test split with all weights
    made equal.
    """

    def init(self, rng: jax.Array, batch: Mapping[str, jax.Array]) -> Any:
        """Make fresh parameters."""
        return self.sized_model().init(rng, batch["name"], batch["value"])["params"]

    def apply(
        self,
        params: Any,
        batch: Mapping[str, jax.Array],
        *,
        rng: jax.Array | None = None,
        train: bool = False,
    ) -> Any:
        """Run the model: logits of each question."""
        return self.sized_model().apply({"params": params}, batch["name"], batch["value"])

    def loss(self, outputs: jax.Array, batch: Mapping[str, jax.Array]) -> Any:
        """Cross-entropy and accuracy, over the questions of all sequences."""
        label = batch["label"]
        flat = {"label": label.reshape(-1)}
        if WEIGHT in batch:
            flat[WEIGHT] = jnp.repeat(batch[WEIGHT], label.shape[-1])
        logits = outputs.reshape(-1, outputs.shape[-1])
        return classification_loss(logits, flat, label_smoothing=self.train.label_smoothing)

    def on_epoch(self, params: Any, row: Mapping[str, Any], run: Path) -> Mapping[str, float]:
        """Keep what there is to know of the attention over one sequence."""
        splits = self.task.load()
        first = {name: array[0] for name, array in splits["validation"][0].items()}
        seen = jax.device_get(_look(self.sized_model())(params, first))
        folder = run / "summaries"
        folder.mkdir(exist_ok=True)
        np.savez(folder / f"{row['epoch']:04}.npz", **seen)
        asked = seen["entropy"][:, -len(first["needle"]) :]
        found = {
            "attention/entropy": float(asked.mean()),
            "attention/needle_share": float(seen["needle_share"].mean()),
        }
        if row["epoch"] == self.train.epochs:
            correct = _answer_uniformly(self.sized_model())(params, splits["test"][0])
            found["uniform/accuracy"] = float(correct.mean())
        return found

    def draw(self, params: Any, run: Path) -> None:
        """Draw the summaries of all epochs, and the last one in full."""
        from attn_jax import plot
        from experiments.report import Sheet, save_sheet

        found = _kept(run)
        needles = self.task.load()["validation"][0]["needle"][0]
        over_training = plot.summaries(
            np.stack([each["asked"].mean(0) for each in found]),
            entropy=[each["entropy"][:, -len(needles) :].mean() for each in found],
            share=[each["needle_share"].mean() for each in found],
            marks=needles,
        )
        caption = (
            f"The attention of {len(needles)} questions to {self.task.length:,} tokens of one "
            "validation sequence; triangles mark the cards asked for."
        )
        last = read_metrics(run)[-1]
        if "uniform/accuracy" in last:
            caption += (
                f" In the end {last['test/accuracy']:.2%} of the test questions are answered; "
                f"{last['uniform/accuracy']:.2%} if all weights are made equal, "
                f"and {1 / self.task.num_values:.0%} is chance."
            )
        save_sheet(run, Sheet("summaries", "What it learns to look at", caption, over_training))
        caption = (
            "All tokens of the same sequence after the last epoch, from the summary alone. On the "
            "diagonal is what tokens give themselves; the questions are the last of the queries."
        )
        whole = plot.summary(types.SimpleNamespace(**found[-1]))
        save_sheet(run, Sheet("summary", "The whole map, never stored", caption, whole))
        known = dict.fromkeys(ops.AttentionSummary._fields) | found[-1]
        title = "The attention of all tokens"
        around = plot.viewer(types.SimpleNamespace(**known), title=title)
        caption = "The same, to look around in."
        save_sheet(run, Sheet("viewer", "Look around", caption, around))


def _kept(run: Path) -> list[dict[str, np.ndarray]]:
    """What each epoch left, in order."""
    found = []
    for path in sorted((run / "summaries").glob("*.npz")):
        with np.load(path) as arrays:
            found.append(dict(arrays))
    return found


@functools.cache
def _look(model: nn.Module) -> Callable[..., dict[str, jax.Array]]:
    """A jitted function from parameters and a sequence to what there is to know of its attention.

    Beside a summary's fields these are `needle_share` (h, questions), and `asked` (h, tokens), the
    mean weight that the questions give each token.
    """

    @jax.jit
    def look(params: Any, batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        tokens, needle = len(batch["name"]), batch["needle"]
        tiles = min(_TILES, tokens)
        wanted = ops.Summary(
            entropy=True, received=True, distance=True, max_logit=True, pooled=(tiles, tiles)
        )
        spec = {"attention.query": None, "attention.key": None, "attention.summary": wanted}
        apply = capture(model.apply, spec)
        _, seen = apply({"params": params}, batch["name"], batch["value"])
        asked = jnp.arange(tokens - len(needle), tokens)
        weights = ops.attention_rows(seen["attention.query"], seen["attention.key"], rows=asked)
        share = weights[:, jnp.arange(len(needle)), needle]
        known = seen["attention.summary"]._asdict()
        known |= {"needle_share": share, "asked": weights.mean(-2)}
        return {name: array for name, array in known.items() if array is not None}

    return look


@functools.cache
def _answer_uniformly(model: nn.Module) -> Callable[..., jax.Array]:
    """A jitted function from parameters and sequences to which questions are answered rightly.

    Every token gets the same weight, in place of that which the model gives it.
    """

    def equal(weights: jax.Array, site: Site) -> jax.Array:
        return jnp.full_like(weights, 1 / weights.shape[-1])

    apply = intervene(model.apply, {"attention.weights": equal})

    @jax.jit
    def correct(params: Any, batch: Mapping[str, jax.Array]) -> jax.Array:
        def of_one(sequence: Mapping[str, jax.Array]) -> jax.Array:
            logits = apply({"params": params}, sequence["name"], sequence["value"])
            return logits.argmax(-1) == sequence["label"]

        # One by one: an edit of weights needs all weights of a sequence at once.
        return jax.lax.map(of_one, dict(batch))

    return correct
