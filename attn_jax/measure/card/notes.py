"""What a card says about itself: which map it judged, and what it could not test."""

import numpy as np

from attn_jax.measure.card.further import TOLERANCE
from attn_jax.measure.card.inputs import Places
from attn_jax.measure.card.judged import Plan
from attn_jax.measure.card.measured import Checks, Measures
from attn_jax.measure.card.orders import FEW

IDLE = 0.1
"""The part of the mean effect below which a head counts as idle."""


def notes(
    plan: Plan,
    places: Places,
    measures: Measures,
    ran: Checks,
    exists: np.ndarray,
    is_given: bool,
) -> tuple[str, ...]:
    """Return what the card says about itself, in sentences.

    Args:
        plan: What was run.
        places: The hook points.
        measures: The measures.
        ran: The checks of the run.
        exists: True for the keys that exist, (n, k).
        is_given: Whether the map was given.
    """
    said = [_map(plan, places, is_given)]
    if ran.effects is not None:
        effects = np.asarray(ran.effects)
        idle = int((effects < IDLE * effects.mean()).sum())
        said.append(
            f"{idle} of these {len(effects)} heads have less than a tenth of the mean effect on "
            "the score, and their maps are averaged in all the same; judge heads with "
            "report_cards, or by heads= and layers=."
        )
    said.append(_visible(plan, ran, exists))
    said.append(
        "Contributions are Shapley values."
        if exists.shape[1] <= FEW
        else "Contributions are integrated gradients from no attention, the values of Aumann and "
        "Shapley."
    )
    if not plan.contexts:
        said.append(
            "The share of the score is what is lost if the weights are zero: there is no mean "
            "context to put in its place."
        )
    said.append(
        "The inputs at the keys could not be replaced: evidence that earlier layers moved to "
        "other keys would not be noticed."
        if plan.resample is None
        else "Leaving one out replaces the input at a key by that of another example. The model "
        "never met such mixtures, and part of their effect may be due to that."
    )
    if plan.adversarial:
        said.append(
            "For the adversarial search predictions are the same if their probabilities differ by "
            f"at most {TOLERANCE} in total variation."
        )
    return tuple(said)


def _visible(plan: Plan, ran: Checks, exists: np.ndarray) -> str:
    """Say what decides which keys are hidden, and how many are."""
    if plan.visible == "mask":
        return "Every query counts as seeing every key that exists, by visible='mask'."
    if plan.visible == "nonzero":
        rule = "A weight of exactly zero counts as hidden, by visible='nonzero'"
    elif ran.look.is_masked:
        rule = "Which keys are hidden is read from the masks of the attention"
    else:
        rule = "The attention carries no masks, so a weight of exactly zero counts as hidden"
    hidden = int((exists.sum(-1) - np.asarray(ran.keys)).max())
    query = "every query" if plan.query is None else f"query {plan.query}"
    count = f" Up to {hidden} keys of an example are hidden from {query}." if hidden else ""
    return f"{rule}; no edit gives weight to a hidden key.{count}"


def _map(plan: Plan, places: Places, is_given: bool) -> str:
    if is_given:
        return "The map was given."
    heads = places.heads if plan.heads is None else len(plan.heads)
    over = [
        *([] if plan.query is not None or places.queries == 1 else [f"{places.queries} queries"]),
        *([f"{heads} heads"] if heads > 1 else []),
        *([f"{places.layers} layers"] if places.layers > 1 else []),
    ]
    row = "" if plan.query is None else f" from query {plan.query}"
    mean = f", the mean over {' and '.join(over)}" if over else ""
    return f"The map is the weight that each key receives{row}{mean}."
