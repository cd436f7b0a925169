"""Experiments on stories and questions, which score answers and the attention of each hop."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from attn_jax.hooks import capture
from attn_jax.measure import report_card
from attn_jax.train import classification_loss
from attn_jax.train.disk.stored import read_json, write_json
from experiments.experiment import Experiment
from experiments.truth.evidence import Evidence

_ON_CARD = 256
_SHOWN = 3
_DIGEST = "stories.json"
PUBLISHED = {1: 0.999, 2: 0.784, 3: 0.358}
"""Accuracies on bAbI tasks 1 to 3 of a memory network with three hops, position encoding and 1,000
training questions: Sukhbaatar et al., 2015, table 1."""


@dataclasses.dataclass(frozen=True)
class QuestionAnsweringExperiment(Experiment):
    """Answer questions about stories, and compare each hop's attention with the supporting facts.

    With `supervision` the attention of each hop learns the fact of its number too, as Weston's
    memory networks do; without, it learns from the answers alone.

    The last row of metrics has `test/hop_1_fact_2`, and so on: the share of test stories in which
    the sentence with the highest weight in the first hop, or layer, is the second fact needed; and
    `test/facts_found`, the share of facts that some hop has at its top.
    """

    inputs: ClassVar[tuple[str, ...]] = ("story", "question")

    supervision: float = 0.0
    """The weight, in the loss, of the facts that the hops should attend to."""

    def __post_init__(self) -> None:
        """Check that each fact has a hop to learn it."""
        hops = getattr(self.model, "hops", 0)
        if self.supervision and hops < self.task.facts:
            raise ValueError(
                f"supervision={self.supervision} needs a hop for each of the facts, and "
                f"{type(self.model).__name__} has {hops} for {self.task.facts}; set --model.hops."
            )

    def apply(
        self,
        params: Any,
        batch: Mapping[str, jax.Array],
        *,
        rng: jax.Array | None = None,
        train: bool = False,
    ) -> Any:
        """Run the model, which returns logits of answers, and the weights of sentences if any."""
        rngs = {} if rng is None else {"dropout": rng}
        return _run(self.sized_model(), params, batch["story"], batch["question"], train, rngs)

    def loss(
        self, outputs: tuple[jax.Array, jax.Array | None], batch: Mapping[str, jax.Array]
    ) -> Any:
        """Return the cross-entropy of answers, and that of the facts if they are learned too."""
        logits, weights = outputs
        smoothing = self.train.label_smoothing
        objective, metrics = classification_loss(logits, batch, label_smoothing=smoothing)
        if self.supervision and weights is not None:
            objective = objective + self.supervision * fact_loss(weights, batch["facts"])
        return objective, metrics

    def begin(self, run: Path) -> None:
        """Note the stories of the run."""
        write_json(run / _DIGEST, {"stories": self._digest()})

    def check(self, run: Path) -> None:
        """Refuse a run that was trained on other stories."""
        if read_json(run / _DIGEST, dict).get("stories") != self._digest():
            raise ValueError(
                f"the stories have changed since {run} was trained. Restore the file that it was "
                "trained on, or train again."
            )

    def _digest(self) -> str:
        splits = {split: self.task.stories(split) for split in ("train", "validation", "test")}
        return hashlib.sha256(json.dumps(splits).encode()).hexdigest()

    def on_epoch(self, params: Any, row: Mapping[str, Any], run: Path) -> Mapping[str, float]:
        """Compare the attention over the test stories with their facts, after the last epoch."""
        if row["epoch"] < self.train.epochs or not self.model.attention_patterns:
            return {}
        stories = self._known_stories()
        if not len(stories["label"]):
            return {}
        return fact_scores(self.predict(params, stories)[1], stories["facts"])

    def _known_stories(self) -> dict[str, np.ndarray]:
        """Return the test stories whose facts are known."""
        stories = self.task.load()["test"][0]
        facts = stories["facts"]
        known = (facts >= 0).any(-1) if facts.shape[-1] else np.zeros(len(facts), bool)
        return {name: array[known] for name, array in stories.items()}

    def predict(
        self, params: Any, stories: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the logits, (n, answers), and the weights of sentences, (hops, n, sentences)."""
        arrays = (jnp.asarray(stories["story"]), jnp.asarray(stories["question"]))
        logits, weights = _predictor(self.sized_model())(params, *arrays)
        return np.asarray(logits), np.asarray(weights)

    def evidence(self, params: Any) -> Evidence | None:
        """Return test stories, which the supporting facts decide."""
        stories = {name: array[:_ON_CARD] for name, array in self._known_stories().items()}
        model = self.sized_model()
        if not len(stories["label"]):
            return None
        truth = _truth(stories)
        added = ((0, 0), (0, int(_has_question(model))))
        return Evidence(
            fn=functools.partial(_apply, model, params),
            inputs=(jnp.asarray(stories["story"]), jnp.asarray(stories["question"])),
            target=stories["label"],
            truth=np.pad(truth, added),
            mask=_exists(stories, model),
            attention=model.attention_patterns,
            query=truth.shape[-1] if _has_question(model) else 0,
            layers=model.attention_patterns if _has_question(model) else (),
            metrics=("test/accuracy", "test/facts_found"),
        )

    def draw(self, params: Any, run: Path) -> None:
        """Draw test stories with the attention of each hop, and the report card."""
        from experiments.report import Sheet, save_card, save_sheet
        from experiments.report.stories import draw_stories

        model = self.sized_model()
        if not model.attention_patterns:
            return
        stories = self.task.load()["test"][0]
        logits, weights = self.predict(params, stories)
        right = logits.argmax(-1) == stories["label"]
        chosen = [*np.flatnonzero(~right)[:1], *np.flatnonzero(right)][:_SHOWN]
        answers = [self.task.answers[int(logits[number].argmax())] for number in chosen]
        texts = [self.task.stories("test")[number] for number in chosen]
        figure = draw_stories(texts, answers, weights[:, chosen])
        save_sheet(run, Sheet("stories", "Where it looks in a story", self._caption(run), figure))
        few = {name: array[:_ON_CARD] for name, array in stories.items()}
        card = report_card(
            functools.partial(_apply, model, params),
            (jnp.asarray(few["story"]), jnp.asarray(few["question"])),
            attention=model.attention_patterns,
            mask=_exists(few, model),
            target=few["label"],
            query=few["story"].shape[1] if _has_question(model) else 0,
        )
        save_card(run, card)

    def _caption(self, run: Path) -> str:
        from attn_jax.train import read_metrics

        caption = (
            "Test stories; each column is the attention of a hop, or of a layer from the question. "
            "The facts that answer are framed in green, numbered in the order in which they are "
            "needed."
        )
        answers_alone = " Training saw the answers alone."
        caption += " Training saw the answers and the facts." if self.supervision else answers_alone
        last = read_metrics(run)[-1]
        if "test/facts_found" in last:
            caption += (
                f" Of the facts of all test stories, {last['test/facts_found']:.1%} are at the top "
                "of some hop."
            )
        if self.task.path is None:
            caption += (
                f" On bAbI's task {self.task.facts}, whose stories are others, "
                f"Sukhbaatar et al. (2015) report {PUBLISHED[self.task.facts]:.1%} of the answers "
                "right with 1,000 training questions (table 1, position encoding, three hops)."
            )
        return caption


class StoryBaselineExperiment(QuestionAnsweringExperiment):
    """Answer questions about stories by a model without attention, whose facts nothing finds."""

    evidence = Experiment.evidence


def fact_loss(weights: jax.Array, facts: jax.Array) -> jax.Array:
    """Return the mean negative logarithm of the weight that each hop gives the fact of its number.

    Args:
        weights: The weights of the sentences, (hops, n, sentences).
        facts: The sentences that answer, (n, facts), -1 where there is none.
    """
    needed = facts.T
    found = jnp.take_along_axis(weights[: len(needed)], jnp.maximum(needed, 0)[..., None], -1)
    losses = jnp.where(needed >= 0, -jnp.log(found[..., 0] + 1e-9), 0)
    return losses.sum() / jnp.maximum((needed >= 0).sum(), 1)


def fact_scores(weights: np.ndarray, facts: np.ndarray) -> dict[str, float]:
    """Return how often each hop's top sentence is each fact, and how many facts some hop finds.

    Args:
        weights: The weights of the sentences, (hops, n, sentences).
        facts: The sentences that answer, (n, facts), -1 where there is none.

    Example:
        >>> scores = fact_scores(np.array([[[0.2, 0.8]], [[0.6, 0.4]]]), np.array([[1, 0]]))
        >>> scores["test/hop_1_fact_1"], scores["test/hop_1_fact_2"], scores["test/facts_found"]
        (1.0, 0.0, 1.0)
    """
    top, exists = weights.argmax(-1), facts >= 0
    scores = {
        f"test/hop_{hop + 1}_fact_{fact + 1}": float(
            (top[hop] == facts[:, fact])[exists[:, fact]].mean()
        )
        for hop in range(len(top))
        for fact in range(facts.shape[1])
    }
    found = (top[:, :, None] == facts).any(0)
    return scores | {"test/facts_found": float(found[exists].mean())}


def _truth(stories: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the sentences that answer as booleans, (n, sentences)."""
    places = np.arange(stories["story"].shape[1])
    return (stories["facts"][..., None] == places).any(1)


def _has_question(model: nn.Module) -> bool:
    """Return whether the question is a key, after the sentences."""
    return "layers" in model.attention_patterns[0]


def _exists(stories: Mapping[str, np.ndarray], model: nn.Module) -> np.ndarray:
    exists = (stories["story"] != 0).any(-1)
    return np.pad(exists, ((0, 0), (0, int(_has_question(model)))), constant_values=True)


def _apply(model: nn.Module, params: Any, inputs: tuple[jax.Array, jax.Array]) -> Any:
    return model.apply({"params": params}, *inputs)


@functools.cache
def _predictor(model: nn.Module) -> Callable[..., Any]:
    """Build a jitted function from parameters and stories to logits and weights of sentences."""

    @jax.jit
    def predict(params: Any, story: jax.Array, question: jax.Array) -> tuple[jax.Array, Any]:
        return _run(model, params, story, question, False, {})

    return predict


def _run(
    model: nn.Module,
    params: Any,
    story: jax.Array,
    question: jax.Array,
    train: bool,
    rngs: Mapping[str, jax.Array],
) -> tuple[Any, jax.Array | None]:
    """Return logits, and the weights that the last query gives the sentences in every hop."""
    run: Callable[..., Any] = functools.partial(model.apply, train=train, rngs=dict(rngs))
    if not model.attention_patterns:
        return run({"params": params}, story, question), None
    run = capture(run, dict.fromkeys(model.attention_patterns, _last_query))
    logits, captured = run({"params": params}, story, question)
    rows = [each.reshape(-1, len(story), each.shape[-1]) for each in captured.values()]
    return logits, jnp.concatenate(rows)[..., : story.shape[1]]


def _last_query(weights: jax.Array) -> jax.Array:
    """Return the row of the last query, (n, k), the mean over the heads."""
    return weights[..., -1, :].reshape(len(weights), -1, weights.shape[-1]).mean(1)
