"""Makes the report card of a model's attention."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from attn_jax.hooks import capture
from attn_jax.measure import agreement, reweigh, verdicts
from attn_jax.measure.card import ReportCard
from attn_jax.measure.program import PREDICTED, Checks, program


def report_card(
    fn: reweigh.Model,
    inputs: Any,
    *,
    attention: reweigh.Pattern = "*.weights",
    target: Int[Array, " n"] | np.ndarray | None = None,
    mask: Bool[Array, "n k"] | np.ndarray | None = None,
    objects: Bool[Array, "n k"] | np.ndarray | None = None,
    query: int | None = None,
    normalized: bool = True,
    rng: PRNGKeyArray | None = None,
) -> ReportCard:
    """Judges how far attention weights explain what a model says.

    The map judged gives each key the mean of the weights that it gets from all queries, heads and
    layers that match. The model is run again with its weights edited: keys taken away in the
    map's order and in random ones, weights exchanged between keys, made equal, and searched for
    those that differ most while the output stays. The same rankings are compared with gradients,
    integrated gradients and what happens if one key is left out. A line for each says what was
    found, beside a random map and equal weights, with the interval in which 95 % of resampled sets
    of examples fall.

    An edit gives a query's weight to other keys, also to those that a causal mask hides from it:
    meant are the attention that pools, cross-attention, and self-attention that sees everything.

    Args:
        fn: From a batch of inputs to logits `(n, classes)`; deterministic; its attention weights
            `(n, ..., q, k)` have hook points. Give the same function object again and it is not
            compiled again.
        inputs: A batch, any pytree of arrays.
        attention: Which hook points hold the weights: a glob, or several.
        target: The class to explain, for each example; by default the one that it predicts.
        mask: Which keys there are, where sequences are padded.
        objects: Which keys are the object that should be looked at, for two more lines.
        query: Explain by one query's weights, by its number, in place of the mean of all.
        normalized: Whether rows of weights sum to one (or are all zero).
        rng: Of the random maps, the search and the intervals; key 0 by default.

    Returns:
        The card: it prints as a table, and shows itself in a notebook.

    Raises:
        HookError: If `attention` matches no hook point, or one that cannot be edited.
        ValueError: If the weights are no distributions, the mask leaves an example no key, the
            model says something else when asked again, its logits are not finite or have another
            shape, or the target or the objects do not fit.

    Example:
        >>> from attn_jax import hooks
        >>> def fn(x):  # says what kind the keys are that it attends to
        ...     weights = hooks.tap("look.weights", jax.nn.softmax(3 * x[..., 0]))
        ...     return 5 * jnp.einsum("nk,nkc->nc", weights, x)
        >>> x = jax.random.normal(jax.random.key(1), (40, 11, 2))
        >>> card = report_card(fn, x)
        >>> card["permuted"].reads, len(card.lines)
        ('supports', 9)

    References:
        Jain and Wallace, "Attention is not Explanation", 2019, https://arxiv.org/abs/1902.10186;
        Wiegreffe and Pinter, "Attention is not not Explanation", 2019,
        https://arxiv.org/abs/1908.04626; DeYoung et al., "ERASER", 2020,
        https://arxiv.org/abs/1911.03429; Petsiuk et al., "RISE", 2018,
        https://arxiv.org/abs/1806.07421.
    """
    rng = jax.random.key(0) if rng is None else rng
    patterns = (attention,) if isinstance(attention, str) else tuple(attention)
    examples = len(jax.tree.leaves(inputs)[0])
    names, keys, classes = _sizes(fn, inputs, patterns, examples)
    there = np.ones((examples, keys), bool) if mask is None else np.asarray(mask, bool)
    _check_mask(there, (examples, keys))
    if objects is not None:
        agreement.check_objects(np.shape(objects), (examples, keys))
    given = np.full(examples, PREDICTED) if target is None else np.asarray(target)
    if target is not None:
        _check_target(given, examples, classes)
    run = program(fn, patterns, query, normalized)
    about = None if objects is None else np.asarray(objects, bool)
    checks, found = jax.device_get(run(inputs, there, given.astype(np.int32), about, rng))
    _check_ran(checks, normalized)
    found = jax.tree.map(float, found)
    lines = {name: verdicts.line(name, found[name]) for name in verdicts.LINES if name in found}
    reads, verdict = verdicts.overall(lines)
    seed = tuple(np.asarray(jax.random.key_data(rng)).ravel().tolist())
    return ReportCard(verdict, reads, tuple(lines.values()), examples, keys, seed, names)


def _sizes(
    fn: reweigh.Model, inputs: Any, patterns: tuple[str, ...], examples: int
) -> tuple[tuple[str, ...], int, int]:
    """Finds which hook points match, and how many keys they have, without running anything."""
    run = reweigh.received(fn, patterns)
    logits, values = jax.eval_shape(run, inputs)
    if logits.ndim != 2 or len(logits) != examples:
        raise ValueError(
            f"fn returns logits of shape {logits.shape} for {examples} inputs; ({examples}, "
            "classes) are needed: take a whole batch, and return one row for each example."
        )
    if values.shape[0] != examples:
        raise ValueError(
            f"the weights that match {list(patterns)} have {values.shape[0]} examples, but the "
            f"inputs {examples}; the first axis of weights must be the batch."
        )
    _, captured = jax.eval_shape(capture(fn, list(patterns)), inputs)
    return tuple(captured), values.shape[1], logits.shape[1]


def _check_target(target: np.ndarray, examples: int, classes: int) -> None:
    if target.shape != (examples,) or target.min() < 0 or target.max() >= classes:
        raise ValueError(
            f"target has shape {target.shape} and values from {target.min()} up to {target.max()}; "
            f"one class from 0 to {classes - 1} is needed for each of {examples} examples."
        )


def _check_mask(mask: np.ndarray, shape: tuple[int, int]) -> None:
    if mask.shape != shape:
        raise ValueError(
            f"mask has shape {mask.shape}, but the weights {shape[0]} examples of {shape[1]} keys; "
            "one boolean for each key of each example is needed."
        )
    empty = np.flatnonzero(~mask.any(-1))
    if len(empty):
        raise ValueError(
            f"mask leaves example {empty[0]} no key, and {len(empty)} of {len(mask)} in all; leave "
            "these examples out."
        )


def _check_ran(checks: Checks, normalized: bool) -> None:
    """Refuses what the first look at the model shows to be none of what a card can judge."""
    logits, again = np.asarray(checks.logits), np.asarray(checks.again)
    if not np.isfinite(logits).all():
        row = int(np.flatnonzero(~np.isfinite(logits).all(-1))[0])
        raise ValueError(f"fn gives logits that are not finite, first for example {row}.")
    gap = float(np.abs(logits - again).max())
    if gap > 1e-5 * max(1.0, float(np.abs(logits).max())):
        raise ValueError(
            f"fn is not deterministic: asked twice, its logits differ by up to {gap:.3g}; turn "
            "dropout off, and draw nothing inside it."
        )
    if float(checks.lowest) < 0:
        raise ValueError(f"the weights hold {float(checks.lowest):.3g}; none may be below zero.")
    if normalized and float(checks.deviation) > 1e-3:
        raise ValueError(
            f"the weights are no distributions: the sum of a row is {float(checks.deviation):.3g} "
            "away from one, and from zero; choose the hook points that hold weights, or pass "
            "normalized=False."
        )
