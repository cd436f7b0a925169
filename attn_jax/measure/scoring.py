"""The score of an example: one number for what a model predicts, whatever kind of model it is."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from attn_jax.measure.outputs import class_logits

Metric = Literal["logit", "log_probability", "logit_difference"]


@dataclasses.dataclass(frozen=True)
class Scoring:
    """How the output of a model becomes one score for each example.

    Attributes:
        metric: What is scored at each position: the target's logit less the mean over all classes,
            its log-probability, or its logit less that of a foil.
        position: For a model with an output at each token, the token whose prediction counts,
            counted from the end if negative, or None for the mean over all of them.
    """

    metric: Metric = "logit"
    position: int | None = None

    def logits(self, output: Num[Array, "n *c"]) -> Float[Array, "n p c"]:
        """Return the logits at the positions that count; one for a classifier."""
        if output.ndim < 3:
            return class_logits(output)[:, None]
        logits = output.astype(jnp.float32)
        return logits if self.position is None else logits[:, self.position][:, None]

    def score(
        self,
        output: Num[Array, "n *c"],
        target: Int[Array, "n p"],
        foil: Int[Array, "n p"] | None = None,
    ) -> Float[Array, " n"]:
        """Return the score of each example.

        Args:
            output: The model's output.
            target: The class at each position; positions with a negative one do not count.
            foil: The class that the target is compared with.
        """
        logits = self.logits(output)
        values = _pick(logits, target)
        if self.metric == "logit":
            values -= logits.mean(-1)
        elif self.metric == "log_probability":
            values -= jax.nn.logsumexp(logits, -1)
        else:
            assert foil is not None
            values -= _pick(logits, foil)
        return _mean(values, target)

    def probability(
        self, output: Num[Array, "n *c"], target: Int[Array, "n p"]
    ) -> Float[Array, " n"]:
        """Return the target's probability, the mean over the positions that count."""
        return _mean(_pick(jax.nn.softmax(self.logits(output)), target), target)

    def change(
        self, output: Num[Array, "n *c"], other: Num[Array, "n *c"], target: Int[Array, "n p"]
    ) -> Float[Array, " n"]:
        """Return the total variation between two outputs, the mean over the positions."""
        first, second = (jax.nn.softmax(self.logits(each)) for each in (output, other))
        return _mean(jnp.abs(first - second).sum(-1) / 2, target)


def _pick(logits: Array, target: Array) -> Array:
    return jnp.take_along_axis(logits, jnp.maximum(target, 0)[..., None], -1)[..., 0]


def _mean(values: Array, target: Array) -> Array:
    counts = target >= 0
    return jnp.where(counts, values, 0).sum(-1) / jnp.maximum(counts.sum(-1), 1)
