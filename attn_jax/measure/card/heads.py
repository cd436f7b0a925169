"""A table of the cheapest lines of a card for every head of a model."""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from attn_jax.hooks import Site, capture, patch
from attn_jax.hooks.gradients import activation_grads
from attn_jax.hooks.plan import EditFunction
from attn_jax.measure import reweigh
from attn_jax.measure.card import checks
from attn_jax.measure.card.inputs import Places, find_places
from attn_jax.measure.card.mass import distribution
from attn_jax.measure.card.result import MARKS, Reads
from attn_jax.measure.card.verdicts import DECISIVE
from attn_jax.measure.numbered import map_edits, map_points
from attn_jax.measure.scoring import Metric, Scoring

IDLE = 0.1
"""The part of an equal share of the score below which a head counts as idle."""

GROUPS = 5
"""The number of groups of layers whose heads are ablated by one loop each. With a loop for each of
thirty layers, compiling took longer than running; with one loop for all, no head would share the
layers before it."""


@dataclasses.dataclass(frozen=True, eq=False)
class HeadCards:
    """How far the map of each head shows what the predictions depend on.

    Attributes:
        names: The hook points of the layers.
        ablation: The share of the score lost if the head's context is replaced by its mean over
            the batch, (layers, heads).
        share: The share of the score that the contributions of the head's keys add up to.
        overlap: The share of these contributions that lies where the head's mass lies.
        top_mass: The mass of the head's top key.
        top_contribution: The part of that key in the head's contributions.
        examples: The number of examples.
    """

    names: tuple[str, ...]
    ablation: Float[np.ndarray, "layers heads"]
    share: Float[np.ndarray, "layers heads"]
    overlap: Float[np.ndarray, "layers heads"]
    top_mass: Float[np.ndarray, "layers heads"]
    top_contribution: Float[np.ndarray, "layers heads"]
    examples: int

    @property
    def is_idle(self) -> Bool[np.ndarray, "layers heads"]:
        """Whether a head does less than a tenth of its equal share."""
        return np.abs(self.ablation) < IDLE / self.ablation.size

    def reads(self, layer: int, head: int) -> Reads:
        """Return whether the head's map can be read, by its effect alone and without a test.

        Args:
            layer: The layer.
            head: The head.
        """
        overlap = self.overlap[layer, head]
        excess = self.top_mass[layer, head] - self.top_contribution[layer, head]
        if self.is_idle[layer, head] or excess > -DECISIVE["top_key"].no:
            return "against"
        return "supports" if overlap >= DECISIVE["overlap"].yes else "unclear"

    def to_dict(self) -> dict[str, Any]:
        """Return the table as values that JSON can hold; numbers that are not finite are None."""
        tables = ("ablation", "share", "overlap", "top_mass", "top_contribution")
        plain = {
            name: [[float(x) if np.isfinite(x) else None for x in row] for row in table]
            for name in tables
            for table in [getattr(self, name)]
        }
        return {"names": list(self.names), "examples": self.examples, **plain}

    def _of_map(self, layer: int, head: int) -> str:
        tables = self.overlap, self.top_mass, self.top_contribution
        overlap, mass, contribution = (float(table[layer, head]) for table in tables)
        if not np.isfinite(overlap):
            return f"{'–':>8}  none of its keys contributes"
        return (
            f"{overlap:8.2f}  its top key has {mass:.0%} of the mass and {contribution:.0%} of "
            "the contributions"
        )

    def __str__(self) -> str:
        order = np.argsort(-np.abs(self.ablation), axis=None)
        rows = [np.unravel_index(i, self.ablation.shape) for i in order[:20]]
        header = f"{'':2}{'layer':>5} {'head':>4} {'ablation':>9} {'share':>7} {'overlap':>8}"
        lines = [
            f"{MARKS[self.reads(layer, head)]:2}{layer:5d} {head:4d} "
            f"{self.ablation[layer, head]:9.3f} {self.share[layer, head]:7.3f} "
            f"{self._of_map(layer, head)}"
            for layer, head in ((int(a), int(b)) for a, b in rows)
        ]
        rest = self.ablation.size - len(rows)
        count = f"{int(self.is_idle.sum())} of {self.ablation.size} heads are idle."
        more = f" {rest} more heads have less effect." if rest else ""
        return "\n".join([f"{header}  (the strongest heads first)", *lines, count + more])


def report_cards(
    fn: reweigh.Model,
    inputs: Any,
    *,
    attention: reweigh.Pattern = "*.weights",
    target: Int[Array, "n *p"] | np.ndarray | None = None,
    query: int | None = None,
    metric: Metric = "logit",
    foil: Int[Array, "n *p"] | np.ndarray | None = None,
    position: int | None = None,
    batch_size: int | None = None,
) -> HeadCards:
    """Judge the map of every head by its cheapest lines, in one compiled program.

    Each head is ablated once, without most of the layers before it. The contributions of its keys
    are the weights times the gradients of the score, which takes one backward pass for all heads:
    they hold to first order. For a verdict with a test, make the card of one head with
    :func:`report_card`.

    Args:
        fn: The model, as for :func:`report_card`.
        inputs: A batch of its inputs.
        attention: The hook points that hold the weights, `(n, h, q, k)`.
        target: The class to explain; the predicted one by default.
        query: The query whose weights are the maps; the mean over all by default.
        metric: The score.
        foil: The class that the target is compared with.
        position: For a language model, the position whose prediction is judged.
        batch_size: How many heads are ablated at once; by default as many as half a gigabyte
            holds, but no more than those of one layer.

    Returns:
        The table. It prints the strongest heads.

    Raises:
        HookError: If `attention` matches no hook point.
        ValueError: If the weights have no heads, or an argument does not fit.

    Example:
        >>> from attn_jax import hooks
        >>> def fn(x):  # uses only the first of two heads
        ...     weights = hooks.tap("look.weights", jax.nn.softmax(x[:, :, None, :, 0]))
        ...     return 5 * jnp.einsum("nqk,nkc->nc", weights[:, 0], x[:, 0])
        >>> cards = report_cards(fn, jax.random.normal(jax.random.key(0), (40, 2, 5, 3)))
        >>> cards.is_idle.tolist()
        [[False, True]]

    References:
        Michel, Levy and Neubig, "Are Sixteen Heads Really Better than One?", 2019,
        https://arxiv.org/abs/1905.10650.
    """
    patterns = (attention,) if isinstance(attention, str) else tuple(attention)
    scoring = Scoring(metric, position)
    places = find_places(fn, inputs, patterns, None)
    sizes = checks.sizes(fn, inputs, places.attention, scoring)
    checks.check_heads(fn, inputs, places)
    checks.check_choice(places, None, query)
    checks.check_metric(metric, foil)
    target = checks.classes("target", target, sizes)
    foil = checks.classes("foil", foil, sizes)
    if query is None and position is not None and places.queries == sizes.tokens:
        query = position
    run = _compile(fn, places, scoring, query, batch_size)
    tables = (np.asarray(table, np.float64) for table in jax.device_get(run(inputs, target, foil)))
    ablation, share, overlap, mass, contribution = tables
    return HeadCards(places.attention, ablation, share, overlap, mass, contribution, sizes.examples)


@functools.lru_cache(maxsize=2)
def _compile(
    fn: reweigh.Model, places: Places, scoring: Scoring, query: int | None, batch_size: int | None
) -> Callable[..., tuple[Array, ...]]:
    names = places.attention

    def run(inputs: Any, target: Array | None, foil: Array | None) -> tuple[Array, ...]:
        output, weights = capture(fn, list(names))(inputs)
        target = scoring.logits(output).argmax(-1) if target is None else target

        def score(fn: reweigh.Model) -> Array:
            return scoring.score(fn(inputs), target, foil)

        gradients = activation_grads(
            lambda inputs: scoring.score(fn(inputs), target, foil).sum(), list(names)
        )(inputs)
        whole = scoring.score(output, target, foil).mean()
        parts = [_parts(weights[n], gradients[n], query, whole) for n in names]
        tables = [
            jnp.concatenate([part.reshape(-1, places.heads) for part in table])
            for table in zip(*parts, strict=True)
        ]
        return 1 - _ablated(score, fn, places, batch_size).mean(-1) / whole, *tables

    return jax.jit(run)


def _edited(places: Places) -> tuple[str, ...]:
    return places.contexts or places.attention


def _ablated(
    score: Callable[[reweigh.Model], Array],
    fn: reweigh.Model,
    places: Places,
    batch_size: int | None,
) -> Array:
    """Return the scores without each head, (layers, heads, n)."""
    names, edit = _edited(places), _mean_context if places.contexts else _no_weights
    heads, options = (places.heads,), {"batch_size": batch_size}
    if all(steps == ((),) for steps in places.steps):
        ends = np.linspace(0, len(names), min(GROUPS, len(names)) + 1, dtype=int)
        groups = [names[i:j] for i, j in itertools.pairwise(ends)]
        scores = [map_points(score, fn, group, edit, heads, **options) for group in groups]
    else:
        pairs = zip(names, places.steps, strict=True)
        scores = [
            map_edits(score, fn, name, edit, heads, steps=np.array(steps, int), **options)
            for name, steps in pairs
        ]
    return jnp.concatenate(scores)


def _no_weights(head: Array) -> EditFunction:
    return patch(0.0, heads=head)


def _mean_context(head: Array) -> EditFunction:
    def edit(context: Array, site: Site) -> Array:
        chosen = jnp.arange(context.shape[-2]) == head
        mean = jnp.broadcast_to(context.mean(0, keepdims=True), context.shape)
        return jnp.where(chosen.reshape(*(1,) * (context.ndim - 2), -1, 1), mean, context)

    return edit


def _parts(
    weights: Array, gradients: Array, query: int | None, whole: Array
) -> tuple[Array, Array, Array, Array]:
    """Return the share, overlap, top mass and top contribution of each head, (..., h)."""
    effects = (weights * gradients).astype(jnp.float32).sum(-2)
    rows = weights if query is None else weights[..., query, :][..., None, :]
    values = distribution(rows.astype(jnp.float32).mean(-2))
    size = jnp.abs(effects)
    total = size.sum(-1)
    shares = distribution(size)
    highest = jax.nn.one_hot(values.argmax(-1), values.shape[-1])

    def mean(each: Array) -> Array:
        """Average over the examples, by how much the head contributes to each."""
        return jnp.nansum(total * each, -2) / total.sum(-2)

    return (
        effects.sum(-1).mean(-2) / whole,
        mean(jnp.minimum(values, shares).sum(-1)),
        mean((values * highest).sum(-1)),
        mean((shares * highest).sum(-1)),
    )
