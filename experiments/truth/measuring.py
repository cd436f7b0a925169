"""How well each way of asking finds the truth, and the verdict of the report card."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax import measure
from experiments.truth.evidence import Evidence
from experiments.truth.ways import maps, raw_attention

MOST = 256
"""The number of examples that are measured."""


def measured(evidence: Evidence) -> dict[str, Any]:
    """Return the scores of every way of asking, the card's verdict, and what chance would give.

    Where the truth is not known, there are only `examples`, `keys` and `card`.

    Returns:
        `examples`, `keys` (their mean number), `truth` (the mean number of keys that decide),
        `chance`, the share of the keys that decide, `ways`, by name with the `pointing` game,
        the `mass` on the truth and the `precision` of as many top keys as decide, and `card`.
    """
    evidence = evidence.first(MOST)
    keys = evidence.exists.sum(-1)
    first = {"examples": len(evidence.target), "keys": float(keys.mean())}
    if evidence.truth is None:
        return first | {"card": card(evidence)}
    truth, count = evidence.truth, evidence.truth.sum(-1)
    return first | {
        "truth": float(count.mean()),
        "chance": float((count / keys).mean()),
        "ways": {
            name: scores(values, truth[: len(values)], evidence.exists[: len(values)])
            for name, values in maps(evidence).items()
        },
        "card": card(evidence),
    }


def scores(values: np.ndarray, truth: np.ndarray, exists: np.ndarray) -> dict[str, float]:
    """Return how well maps find the truth.

    Args:
        values: The maps, (n, k). Of negative values, only the order counts.
        truth: True for the keys that decide, (n, k).
        exists: True for the keys that exist, (n, k).

    Returns:
        The mean `pointing` game, `mass` on the truth, and `precision`: of the n highest keys, where
        n keys decide, the share that does.

    Example:
        >>> values, truth = np.array([[0.5, 0.2, 0.3]]), np.array([[True, True, False]])
        >>> scores(values, truth, np.ones((1, 3), bool))
        {'pointing': 1.0, 'mass': 0.699..., 'precision': 0.5}
    """
    ranked = np.where(exists, values, -np.inf)
    number = truth.sum(-1, keepdims=True)
    order = np.argsort(-ranked, axis=-1, kind="stable")
    top = np.arange(truth.shape[-1]) < number
    hits = (np.take_along_axis(truth, order, -1) & top).sum(-1) / number[:, 0]
    objects = jnp.asarray(truth)
    positive = jnp.asarray(np.maximum(values, 0))
    return {
        "pointing": float(measure.pointing_game(jnp.asarray(ranked), objects).mean()),
        "mass": float(measure.mass_on_object(positive, objects).mean()),
        "precision": float(hits.mean()),
    }


def card(evidence: Evidence) -> dict[str, Any]:
    """Return what the report card says of the raw attention."""
    query = None if isinstance(evidence.query, np.ndarray) else evidence.query
    own_rows = query is not evidence.query
    values = jax.device_get(raw_attention(evidence)) if own_rows else None
    judged = measure.report_card(
        functools.partial(evidence.fn),
        evidence.inputs,
        attention=evidence.patterns,
        target=evidence.target,
        mask=evidence.mask,
        objects=evidence.truth,
        query=query,
        values=None if values is None else np.where(evidence.exists, values, 0),
        normalized=evidence.normalized,
        visible=evidence.visible,
        resample=evidence.resample,
        adversarial=False,
    )
    answers = {question: answer.reads for question, answer in judged.answers.items()}
    return {"reads": judged.reads, "verdict": judged.verdict, "answers": answers}
