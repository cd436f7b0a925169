"""Checks of what a card is given, and of what the model returned."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from attn_jax.hooks import capture
from attn_jax.measure import reweigh
from attn_jax.measure.card.inputs import Places
from attn_jax.measure.card.measured import Checks
from attn_jax.measure.scoring import Metric, Scoring


class Sizes(NamedTuple):
    """The sizes of a model's output and of its map.

    Attributes:
        examples: The number of examples.
        keys: The number of keys.
        positions: The number of positions whose predictions count; 1 for a classifier.
        classes: The number of classes.
        tokens: The positions of the output; None for a classifier.
    """

    examples: int
    keys: int
    positions: int
    classes: int
    tokens: int | None

    @property
    def is_classifier(self) -> bool:
        """Whether the model has one output for each example."""
        return self.tokens is None


def sizes(fn: reweigh.Model, inputs: Any, attention: Sequence[str], scoring: Scoring) -> Sizes:
    """Return the sizes of the model's output and map; runs nothing."""
    examples = len(jax.tree.leaves(inputs)[0])
    output, values = jax.eval_shape(reweigh.received(fn, attention), inputs)
    if output.ndim not in (1, 2, 3) or len(output) != examples:
        raise ValueError(
            f"fn returns logits of shape {output.shape} for {examples} inputs; it must take the "
            f"whole batch and return ({examples}, classes), or ({examples}, 1) for a binary "
            f"classifier with one logit, or ({examples}, tokens, vocabulary)."
        )
    if values.shape[0] != examples:
        raise ValueError(
            f"the weights that match {list(attention)} have {values.shape[0]} examples and the "
            f"inputs {examples}; the first axis of the weights must be the batch."
        )
    tokens = output.shape[1] if output.ndim == 3 else None
    _check_position(scoring.position, tokens)
    # Of a function that stays the same JAX would keep an entry for each call.
    logits = jax.eval_shape(lambda output: scoring.logits(output), output)
    return Sizes(examples, values.shape[1], logits.shape[1], logits.shape[2], tokens)


def _check_position(position: int | None, tokens: int | None) -> None:
    if position is None:
        return
    if tokens is None:
        raise ValueError(
            f"position={position} needs a model with an output at each token, (n, tokens, "
            "vocabulary); leave it out for a classifier."
        )
    if not -tokens <= position < tokens:
        raise ValueError(
            f"position={position} is out of range: the model has outputs at {tokens} tokens, from "
            f"0 to {tokens - 1}, or from -{tokens} to -1."
        )


def check_choice(places: Places, heads: Sequence[int] | None, query: int | None) -> None:
    """Refuse heads and queries that do not exist."""
    if heads is not None and (not heads or max(heads) >= places.heads or min(heads) < 0):
        raise ValueError(
            f"heads={list(heads)} must be from 0 to {places.heads - 1}: the weights have "
            f"{places.heads} heads."
        )
    if query is not None and not -places.queries <= query < places.queries:
        raise ValueError(
            f"query={query} is out of range: the weights have {places.queries} queries."
        )


def check_heads(fn: reweigh.Model, inputs: Any, places: Places) -> None:
    """Refuse weights without an axis of heads, or layers with different numbers of them."""
    _, weights = jax.eval_shape(capture(fn, list(places.attention)), inputs)
    shapes = {name: each.shape for name, each in weights.items()}
    heads = {shape[-3] if len(shape) > 3 else None for shape in shapes.values()}
    if None in heads or len(heads) > 1:
        raise ValueError(
            f"the weights have the shapes {shapes}, but (..., n, h, q, k) with the same number of "
            "heads in each is needed; select hook points of multi-head attention."
        )


def classes(name: str, values: Any, sizes: Sizes) -> np.ndarray | None:
    """Return the classes of a target or a foil, one for each position that counts."""
    if values is None:
        return None
    given = np.asarray(values)
    shape = (sizes.examples, sizes.positions)
    whole = given[:, None] if given.shape == shape[:1] else given
    counts = whole[whole >= 0] if given.ndim == 2 else whole
    if whole.shape != shape or not counts.size or counts.min() < 0 or counts.max() >= sizes.classes:
        held = f"values from {given.min()} to {given.max()}" if given.size else "no values"
        raise ValueError(
            f"{name} has shape {given.shape} and {held}; it must hold one class, from 0 to "
            f"{sizes.classes - 1}, for each of {sizes.examples} examples"
            + (f" and {sizes.positions} positions." if sizes.positions > 1 else ".")
        )
    return whole.astype(np.int32)


def check_metric(metric: Metric, foil: Any) -> None:
    """Refuse a metric that lacks its foil, or a foil without a use."""
    if (metric == "logit_difference") == (foil is None):
        raise ValueError(
            f"metric={metric!r} and foil={'None' if foil is None else 'an array'} do not fit: "
            "a logit difference needs a foil, the class that the target is compared with, and no "
            "other metric takes one."
        )


def checked_map(values: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the map to judge as float32; refuse one that does not fit."""
    if values is None:
        return None
    given = np.asarray(values, np.float32)
    if given.shape != shape or not np.isfinite(given).all():
        raise ValueError(
            f"values has shape {given.shape}, and it must hold one finite number for each key of "
            f"each example, {shape}; reduce a map to its keys first."
        )
    return given


def check_mask(mask: np.ndarray, shape: tuple[int, int]) -> None:
    """Refuse a mask that does not fit, or leaves an example without keys."""
    if mask.shape != shape:
        raise ValueError(
            f"mask has shape {mask.shape}, but the weights have {shape[0]} examples of {shape[1]} "
            "keys; it must hold one boolean for each key of each example."
        )
    empty = np.flatnonzero(~mask.any(-1))
    if len(empty):
        raise ValueError(
            f"mask leaves {len(empty)} of {len(mask)} examples without keys, first example "
            f"{empty[0]}; drop these examples."
        )


def check_ran(ran: Checks, normalized: bool) -> None:
    """Refuse models whose outputs or weights a card cannot judge."""
    logits, score = np.asarray(ran.logits), np.asarray(ran.score)
    finite = np.isfinite(logits).all((1, 2))
    if not finite.all():
        raise ValueError(
            "fn returns logits that are not finite, first for example "
            f"{int(np.flatnonzero(~finite)[0])}; drop such examples, or mend the model."
        )
    _check_weights(ran, normalized)
    gaps = [np.abs(a - b).max() for a, b in zip((score, ran.level), ran.again, strict=True)]
    gap = float(max(gaps))
    if gap > 1e-5 * max(1.0, float(np.abs(logits).max())):
        raise ValueError(
            f"fn is not deterministic: its logits differ by up to {gap:.3g} between two calls; "
            "turn dropout off, and draw no random numbers in it."
        )
    if not np.ptp(logits, axis=-1).max() > 0:
        raise ValueError(
            "the score is constant: every logit is the mean of all, whatever the input; judge a "
            "model that tells classes apart."
        )
    if not np.abs(score).max() > 0:
        raise ValueError(
            "the score is constant: this metric is 0 for every example; pass another target, foil "
            "or metric."
        )
    if float(ran.hidden) > 1e-3:
        raise ValueError(
            f"values gives up to {100 * float(ran.hidden):.0f} % of a map to keys that no query "
            f"sees, because {_hides(ran)}; set them to zero there, or pass visible='mask' if the "
            "model may look there."
        )


def _hides(ran: Checks) -> str:
    return "a mask hides them" if ran.look.is_masked else "their weights are exactly zero"


def _check_weights(ran: Checks, normalized: bool) -> None:
    if float(ran.look.lowest) < 0:
        raise ValueError(
            f"the lowest weight is {float(ran.look.lowest):.3g}, but no weight may be negative; "
            "select the hook points that hold weights."
        )
    if normalized and float(ran.look.deviation) > 1e-3:
        raise ValueError(
            "the weights are not distributions: the sum of a row is "
            f"{float(ran.look.deviation):.3g} away from one and from zero; select the hook points "
            "that hold weights, or pass normalized=False."
        )
