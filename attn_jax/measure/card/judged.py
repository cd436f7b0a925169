"""The model under judgment: its map, and its runs with other weights."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.hooks import Site
from attn_jax.hooks.plan import EditFunction
from attn_jax.measure import reweigh
from attn_jax.measure.card.noise import Noise
from attn_jax.measure.card.visible import Visible, visible_keys
from attn_jax.measure.scoring import Scoring

Resample = Callable[[Any, Array, Any], Any]
"""A function of inputs, keys to keep `(n, k)` and other inputs, to inputs whose other keys are
replaced by those of the other inputs."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a card runs: the static part of its program.

    Attributes:
        attention: The hook points that hold the weights.
        contexts: The hook points of the same calls' contexts; empty where they are not known.
        heads: The heads that are judged; all if None.
        query: The query whose weights are the map; the mean over all if None.
        visible: What decides which keys an edit may give weight to.
        scoring: How outputs become scores.
        resample: How the inputs at some keys are replaced; None if that is not known.
        adversarial: Whether to search for adversarial weights.
        randomization: Whether to compare with the map of a model with shuffled weights.
        averages: Whether the map is a mean over heads or layers, whose effects are then compared.
    """

    attention: tuple[str, ...]
    contexts: tuple[str, ...] = ()
    heads: tuple[int, ...] | None = None
    query: int | None = None
    visible: Visible = "operands"
    scoring: Scoring = dataclasses.field(default_factory=Scoring)
    resample: Resample | None = None
    adversarial: bool = True
    randomization: bool = False
    averages: bool = False


@dataclasses.dataclass(frozen=True)
class Judged:
    """A model, its inputs, and the map that is judged.

    Attributes:
        fn: The model.
        plan: What to run.
        inputs: A batch of its inputs.
        weights: The mean weight that each key receives, (n, k).
        values: The map that is judged, (n, k); zero at keys that do not exist.
        mask: True for the keys that exist and that some query sees.
        target: The class that is explained at each position, (n, p).
        foil: The class that it is compared with, or None.
        noise: Random numbers.
    """

    fn: reweigh.Model
    plan: Plan
    inputs: Any
    weights: Array
    values: Array
    mask: Array
    target: Array
    foil: Array | None
    noise: Noise

    def reweighed(self, change: reweigh.Change) -> Array:
        """Run the model with changed weights in the heads that are judged."""
        return self._edited(lambda weights, site: change(weights))

    def redistributed(self, change: Callable[[reweigh.Visible], reweigh.Change]) -> Array:
        """Run the model with weight moved between the keys that each query sees.

        Args:
            change: Returns the change of the weights, given which keys are visible.
        """

        def edit(weights: Array, site: Site) -> Array:
            def visible(own: Array) -> Array:
                return visible_keys(self.plan.visible, own, self.mask, site.visible())

            return change(visible)(weights)

        return self._edited(edit)

    def _edited(self, edit: EditFunction) -> Array:
        plan = self.plan
        return reweigh.edit_weights(self.fn, plan.attention, edit, plan.heads)(self.inputs)

    def without(self, keep: Array) -> Array:
        """Run the model without the attention to all but some keys `(n, k)`.

        Their weight goes nowhere: if it went to the other keys, the effect of a key would depend
        on its weight even where its value is zero.
        """
        return self.reweighed(lambda w: w * reweigh.per_key(keep, w).astype(w.dtype))

    def score(self, output: Array) -> Array:
        """Return the score of each example."""
        return self.plan.scoring.score(output, self.target, self.foil)

    def probability(self, output: Array) -> Array:
        """Return the probability of each example's target."""
        return self.plan.scoring.probability(output, self.target)

    @functools.cached_property
    def shuffled_maps(self) -> Array:
        """The map with its values exchanged between the keys at random, (draws, n, k)."""
        exchange = jax.vmap(
            lambda noise: reweigh.exchange_keys(noise, reweigh.masked_keys(self.mask))(self.values)
        )
        return jnp.where(self.mask[None], exchange(self.noise.shuffles), 0)
