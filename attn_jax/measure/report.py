"""The report card of a model's attention."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from attn_jax.hooks import capture
from attn_jax.measure import agreement, reweigh, verdicts
from attn_jax.measure.card import ReportCard
from attn_jax.measure.compiled import PREDICTED, Checks, compile_measures
from attn_jax.measure.outputs import class_logits


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
    """Judge how far attention weights explain a model's predictions.

    The map under test gives each key the mean weight it receives over all queries, heads and
    matching layers. The model is run again with edited weights: with keys removed in the order of
    the map and in random orders, with weights permuted between keys, with uniform weights, and
    with the most different weights that a search finds for the same output. The map's ranking is
    also compared with gradients, integrated gradients and leaving out one key at a time. Each line
    of the card is one measure, next to the same measure of random maps and of uniform weights, with
    a 95 % bootstrap interval over the examples.

    Edits may move a query's weight to any key, including those that a causal mask hides from it.
    The card is meant for attention pooling, cross-attention, and self-attention without a causal
    mask.

    Args:
        fn: A deterministic function from a batch of inputs to logits, `(n, classes)`, or `(n, 1)`
            or `(n,)` for a binary classifier with one logit, which counts as two classes. Its
            attention weights `(n, ..., q, k)` have hook points. Pass the same function object
            again to avoid compiling again.
        inputs: A batch, any pytree of arrays.
        attention: The hook points that hold the weights: a glob, or several.
        target: The class to explain for each example; the predicted one by default.
        mask: True for the keys that exist, where sequences are padded.
        objects: True for the keys of the object to look at; adds two lines.
        query: The index of one query whose weights are the map, instead of the mean over all.
        normalized: Whether rows of weights sum to one (or are all zero).
        rng: Random key for the random maps, the search and the intervals; key 0 by default.

    Returns:
        The card. It prints as a table and renders itself in a notebook.

    Raises:
        HookError: If `attention` matches no hook point, or one that cannot be edited.
        ValueError: If the weights are not distributions, the mask leaves an example without keys,
            the model is not deterministic, its logits are not finite or have the wrong shape, or
            the target or the objects do not fit.

    Example:
        >>> from attn_jax import hooks
        >>> def fn(x):  # classifies by the keys that it attends to
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
    exists = np.ones((examples, keys), bool) if mask is None else np.asarray(mask, bool)
    _check_mask(exists, (examples, keys))
    if objects is not None:
        agreement.check_objects(np.shape(objects), (examples, keys))
        objects = np.asarray(objects, bool)
    explained = np.full(examples, PREDICTED) if target is None else np.asarray(target)
    if target is not None:
        _check_target(explained, examples, classes)

    run = compile_measures(fn, patterns, query, normalized)
    results = jax.device_get(run(inputs, exists, explained.astype(np.int32), objects, rng))
    checks, measures = results[0], jax.tree.map(float, results[1])
    _check_ran(checks, normalized)

    lines = {n: verdicts.line(n, measures[n]) for n in verdicts.LINES if n in measures}
    reads, verdict = verdicts.overall(lines)
    seed = tuple(np.asarray(jax.random.key_data(rng)).ravel().tolist())
    return ReportCard(verdict, reads, tuple(lines.values()), examples, keys, seed, names)


def _sizes(
    fn: reweigh.Model, inputs: Any, patterns: tuple[str, ...], examples: int
) -> tuple[tuple[str, ...], int, int]:
    """Return the matching hook points and the numbers of keys and classes; runs nothing."""
    output, values = jax.eval_shape(reweigh.received(fn, patterns), inputs)
    if output.ndim not in (1, 2) or len(output) != examples:
        raise ValueError(
            f"fn returns logits of shape {output.shape} for {examples} inputs; it must take the "
            f"whole batch and return ({examples}, classes), or ({examples}, 1) for a binary "
            "classifier with one logit."
        )
    if values.shape[0] != examples:
        raise ValueError(
            f"the weights that match {list(patterns)} have {values.shape[0]} examples and the "
            f"inputs {examples}; the first axis of the weights must be the batch."
        )
    # Of a function that stays the same JAX would keep an entry for each call.
    classes = jax.eval_shape(lambda output: class_logits(output), output)
    _, weights = jax.eval_shape(capture(fn, list(patterns)), inputs)
    return tuple(weights), values.shape[1], classes.shape[1]


def _check_target(target: np.ndarray, examples: int, classes: int) -> None:
    if target.shape != (examples,) or target.min() < 0 or target.max() >= classes:
        raise ValueError(
            f"target has shape {target.shape} and values from {target.min()} to {target.max()}; "
            f"it must hold one class, from 0 to {classes - 1}, for each of {examples} examples."
        )


def _check_mask(mask: np.ndarray, shape: tuple[int, int]) -> None:
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


def _check_ran(checks: Checks, normalized: bool) -> None:
    """Refuse models whose outputs or weights a card cannot judge."""
    logits, again = np.asarray(checks.logits), np.asarray(checks.again)
    if not np.isfinite(logits).all():
        row = int(np.flatnonzero(~np.isfinite(logits).all(-1))[0])
        raise ValueError(
            f"fn returns logits that are not finite, first for example {row}; drop such examples, "
            "or mend the model."
        )
    gap = float(np.abs(logits - again).max())
    if gap > 1e-5 * max(1.0, float(np.abs(logits).max())):
        raise ValueError(
            f"fn is not deterministic: its logits differ by up to {gap:.3g} between two calls; "
            "turn dropout off, and draw no random numbers in it."
        )
    if float(checks.lowest) < 0:
        raise ValueError(
            f"the lowest weight is {float(checks.lowest):.3g}, but no weight may be negative; "
            "select the hook points that hold weights."
        )
    if normalized and float(checks.deviation) > 1e-3:
        raise ValueError(
            f"the weights are not distributions: the sum of a row is {float(checks.deviation):.3g} "
            "away from one and from zero; select the hook points that hold weights, or pass "
            "normalized=False."
        )
