"""What is true of a construction, worked out in NumPy from its own numbers.

The *score* of an example is the centered logit of the class that the model predicts: the logit
minus the mean over the classes. Five numbers say how far the map, the mean of the weights over
heads and queries, shows what decides:

- `share`: the part of the score that is lost, over all examples, when what the attention says is
  replaced by its mean over the examples;
- `exchange`: the mean change of the score, over the mean score, when each row's weights are
  exchanged at random among the keys that it may see;
- `overlap`: the mean of sum(min(map, |d| / sum |d|)), where d is the contribution of what each
  *input* key says, with weights as they are: its Shapley value, which is the plain product of
  weight and value unless attention saturates;
- `top`: the mean of |d| at the map's top key, over the largest |d| of the example;
- `order`: the mean fall of the score as keys are silenced one by one in the map's order, on a scale
  from random orders, 0, to the order of d, 1.

From them follows the truth:

- `ignored`: share < 0.1;
- `misleading`: not ignored, and exchange < 0.05 (no map would be better or worse), or overlap
  < 0.35 (most of the mass lies where nothing is decided), or top < 0.3 with overlap < 0.6 (the top
  key says little);
- `faithful`: share >= 0.7, exchange >= 0.3, overlap >= 0.6, top >= 0.5 and order >= 0.5;
- `graded`: all others.
"""

import itertools
import math
from typing import Literal, NamedTuple

import numpy as np

from experiments.trust.construction import KEYS, STILL, Construction

Label = Literal["faithful", "misleading", "ignored", "graded"]


class Truth(NamedTuple):
    """The label of a construction, and the numbers that it follows from."""

    label: Label
    share: float
    exchange: float
    overlap: float
    top: float
    order: float


def truth(construction: Construction, exchanges: int = 8) -> Truth:
    """Return what is true of a construction."""
    weights, values = look_weights(construction), moved_values(construction)
    around, attended = construction.around.sum(1), _attended(construction, weights, values)
    target = (attended + around).argmax(-1)
    scores = _score(attended + around, target)
    share = 1 - _score(attended.mean(0) + around, target).mean() / scores.mean()

    rng, changes = np.random.default_rng(0), []
    for _ in range(exchanges):
        exchanged = _exchanged(weights, construction.sees, rng)
        other = _attended(construction, exchanged, values)
        changes.append(np.abs(_score(other + around, target) - scores).mean())
    exchange = np.mean(changes) / scores.mean()

    map_ = weights.mean((1, 2))
    worth = contributions(construction, target)
    order = _order(construction, map_, worth, target)
    parts = np.abs(worth)
    parts = parts / np.maximum(parts.sum(-1, keepdims=True), 1e-30)
    overlap = np.minimum(map_, parts).sum(-1).mean()
    at_top = np.take_along_axis(parts, map_.argmax(-1)[:, None], -1)[:, 0]
    top = (at_top / np.maximum(parts.max(-1), 1e-30)).mean()
    numbers = float(share), float(exchange), float(overlap), float(top), order
    return Truth(label(*numbers), *numbers)


def label(share: float, exchange: float, overlap: float, top: float, order: float) -> Label:
    """Return what follows from the five numbers.

    Example:
        >>> from experiments.trust.truth import label
        >>> label(share=1, exchange=0.8, overlap=0.9, top=1, order=0.9)
        'faithful'
        >>> label(share=1, exchange=0.8, overlap=0.1, top=0, order=0.9)
        'misleading'
    """
    if share < 0.1:
        return "ignored"
    if exchange < 0.05 or overlap < 0.35 or (top < 0.3 and overlap < 0.6):
        return "misleading"
    is_faithful = share >= 0.7 and exchange >= 0.3 and overlap >= 0.6 and min(top, order) >= 0.5
    return "faithful" if is_faithful else "graded"


def look_weights(construction: Construction) -> np.ndarray:
    """Return the attention weights, (n, h, q, k)."""
    return _softmax(np.where(construction.sees[:, None], construction.look, -np.inf))


def early_weights(construction: Construction) -> np.ndarray:
    """Return how much of each key the earlier layer moves to each, (n, to, from)."""
    seek, offer = construction.seek[:, :, None], construction.offer[:, None, :]
    scores = 2 * STILL * seek * offer + construction.stay[:, None, None] * np.eye(KEYS)
    present = np.any(construction.sees, 1)[:, None]
    return _softmax(np.where(present, scores, -np.inf))


def moved_values(construction: Construction) -> np.ndarray:
    """Return what attention meets at each key after the earlier layer, (n, h, k, c)."""
    return early_weights(construction)[:, None] @ construction.says


def spoken(construction: Construction) -> np.ndarray:
    """Return what each input key adds to the logits before attention saturates, (n, k, c)."""
    read = np.einsum("nhqk,nhq->nhk", look_weights(construction), construction.read)
    return np.einsum("nhj,nhjc->njc", read @ early_weights(construction), construction.says)


def contributions(construction: Construction, target: np.ndarray) -> np.ndarray:
    """Return what each input key adds to the score through the attention, (n, k).

    Args:
        construction: The construction.
        target: The class of each example.

    Returns:
        Shapley values of keys that speak or are silent, with weights as they are.
    """
    parts = spoken(construction)
    if construction.limit.min() > 100 * np.abs(parts).sum((1, 2)).max():
        return np.stack([_score(parts[:, j], target) for j in range(KEYS)], -1)
    return _shapley(construction, parts, target)


def _shapley(construction: Construction, parts: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return exact Shapley values over all sets of keys."""
    sets = np.array(list(itertools.product([False, True], repeat=KEYS)))
    worth = [_score(_saturate(construction, parts[:, each].sum(1)), target) for each in sets]
    worth = np.stack(worth, -1)
    sizes = sets.sum(-1)
    result = np.zeros(parts.shape[:2])
    for key in range(KEYS):
        without = np.flatnonzero(~sets[:, key])
        joined = without + 2 ** (KEYS - 1 - key)
        odds = [1 / (KEYS * math.comb(KEYS - 1, size)) for size in sizes[without]]
        result[:, key] = (worth[:, joined] - worth[:, without]) @ np.array(odds)
    return result


def _order(
    construction: Construction, map_: np.ndarray, worth: np.ndarray, target: np.ndarray
) -> float:
    """Return where the order of the map stands between random orders and that of `worth`."""
    parts, rng = spoken(construction), np.random.default_rng(1)
    hidden = ~construction.sees.any(1)

    def fall(values: np.ndarray) -> float:
        order = np.where(hidden, np.inf, -values).argsort(-1, kind="stable")
        gone = np.take_along_axis(parts, order[..., None], 1).cumsum(1)
        left = [parts.sum(1) - gone[:, step] for step in range(KEYS)]
        return -float(np.mean([_score(_saturate(construction, each), target) for each in left]))

    random = np.mean([fall(rng.random(map_.shape)) for _ in range(8)])
    best = fall(worth)
    return float((fall(map_) - random) / (best - random)) if best > random else 0.0


def _exchanged(weights: np.ndarray, sees: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exchange the weights of each example at random, the same way in all rows of a query."""
    # Hidden keys come last in both orders, so that they keep their places.
    noise = np.where(sees, rng.random(sees.shape), 2.0)
    order = np.empty(sees.shape, int)
    places, sources = (~sees).argsort(-1, kind="stable"), noise.argsort(-1, kind="stable")
    np.put_along_axis(order, places, sources, -1)
    order = np.broadcast_to(order[:, None], weights.shape)
    return np.take_along_axis(weights, order, -1)


def _attended(construction: Construction, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return what attention adds to the logits, before their scale, (n, c)."""
    read = np.einsum("nhqk,nhq->nhk", weights, construction.read)
    return _saturate(construction, np.einsum("nhk,nhkc->nc", read, values))


def _saturate(construction: Construction, said: np.ndarray) -> np.ndarray:
    limit = construction.limit[:, None]
    return limit * np.tanh(said / limit)


def _score(logits: np.ndarray, target: np.ndarray) -> np.ndarray:
    chosen = np.take_along_axis(logits, target[:, None], -1)[:, 0]
    return chosen - logits.mean(-1)


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
