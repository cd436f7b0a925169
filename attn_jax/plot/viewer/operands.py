"""Queries, keys, values and residuals captured beside the weights."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attn_jax.plot.arrays import as_array
from attn_jax.plot.viewer import encode
from attn_jax.plot.viewer.maps import Layer, one_of

# Hook points beside the weights of the same attention, and those one level above them.
_BESIDE = ("query", "key", "value", "scores", "context", "output", "head_output")
_ABOVE = ("residual", "residual_mid", "residual_out", "mlp", "embedding", "logits")
_POINT = re.compile(r"(?:(.*)\.)?(\w+)(#\d+)?")
# How far the softmax of query · key may be from the weights, with operands in bfloat16.
_CLOSE = 0.02


class Operands(NamedTuple):
    """Values of one layer captured beside its weights; None where they were not captured.

    Attributes:
        query: `(heads, queries, features)`.
        key: `(heads, keys, features)`.
        scores: `(heads, queries, keys)`.
        value_norms: Norm of the value of each key, `(heads, keys)`.
        attention_share: Norm of attention's output of each query, over its sum with the norm of
            the residual, `(queries,)`.
    """

    query: NDArray | None = None
    key: NDArray | None = None
    scores: NDArray | None = None
    value_norms: NDArray | None = None
    attention_share: NDArray | None = None


def split(weights: Any) -> tuple[Any, dict[str, Any]]:
    """Take weights and other captured values apart.

    Args:
        weights: Whatever a viewer takes.

    Returns:
        The weights alone, and the other captured values by name. Without an entry that is named
        `weights`, everything is taken as weights.

    Example:
        >>> from attn_jax.plot.viewer.operands import split
        >>> split({"first.weights": 0, "first.query": 1})
        ({'first.weights': 0}, {'first.query': 1})
    """
    if not isinstance(weights, Mapping):
        return weights, {}
    leaves = {name: _leaf(name) for name in weights}
    if "weights" not in leaves.values():
        return weights, {}
    others = {name for name, leaf in leaves.items() if leaf in (*_BESIDE, *_ABOVE)}
    return (
        {name: value for name, value in weights.items() if name not in others},
        {str(name): weights[name] for name in weights if name in others},
    )


def _leaf(name: object) -> str:
    match = _POINT.fullmatch(str(name))
    return match[2] if match else str(name)


def operands_of(layer: Layer, captured: Mapping[str, Any], example: int | None) -> Operands:
    """Return what was captured beside the weights of a layer.

    Args:
        layer: The maps.
        captured: Other captured values, by name.
        example: Example of a batch to show.

    Raises:
        ValueError: If a captured value does not fit the weights.
    """
    if not captured:
        return Operands()
    name, stack = _without_stack(layer.name)
    read = _Reader(captured, name, stack, layer, example)
    heads, queries, keys = layer.weights.shape
    query = read.vectors("query", heads, queries)
    key = read.vectors("key", heads, keys)
    value = read.vectors("value", heads, keys)
    return Operands(
        query=query if key is not None else None,
        key=key if query is not None else None,
        scores=read.scores(),
        value_norms=None if value is None else np.linalg.norm(value, axis=-1),
        attention_share=read.share(),
    )


def _without_stack(name: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"(.*)\[(\d+)\]", name)
    return (match[1], int(match[2])) if match else (name, None)


class _Reader(NamedTuple):
    captured: Mapping[str, Any]
    name: str
    stack: int | None
    layer: Layer
    example: int | None

    def _point(self, leaf: str, above: int = 0) -> tuple[str, NDArray] | None:
        match = _POINT.fullmatch(self.name)
        if not match:
            return None
        path = (match[1] or "").split(".") if match[1] else []
        if above > len(path):
            return None
        name = ".".join([*path[: len(path) - above], leaf]) + (match[3] or "" if not above else "")
        if name not in self.captured:
            return None
        array = np.asarray(as_array(self.captured[name], repr(name)), np.float32)
        return name, array if self.stack is None else array[self.stack]

    def _one(self, name: str, array: NDArray, rank: int) -> NDArray:
        """Return one example of an array whose example has this rank."""
        if array.ndim == rank + 1:
            array = array[one_of(name, array.shape, 0, self.example)]
        return array

    def vectors(self, leaf: str, heads: int, tokens: int) -> NDArray | None:
        """Return `(heads, tokens, features)`; heads that share a key or value repeat it."""
        if (point := self._point(leaf)) is None:
            return None
        name, array = point
        one_head = "h" not in self.layer.axes
        one = self._one(name, array, 2 if one_head else 3)
        one = one[:, None] if one_head and one.ndim == 2 else one
        if one.ndim != 3 or len(one) != tokens or heads % (one.shape[1] or heads + 1):
            raise ValueError(
                f"{name!r} has shape {array.shape}, but the weights beside it are {heads} heads "
                f"and {tokens} tokens; (batch, tokens, heads, features) is needed."
            )
        return np.repeat(one.swapaxes(0, 1), heads // one.shape[1], axis=0)

    def scores(self) -> NDArray | None:
        if (point := self._point("scores")) is None:
            return None
        name, array = point
        one = self._one(name, array, 2 if "h" not in self.layer.axes else 3)
        one = one[None] if one.ndim == 2 else one
        if one.shape != self.layer.weights.shape:
            raise ValueError(
                f"{name!r} has shape {array.shape}, but one example of the weights has "
                f"{self.layer.weights.shape}; give the same."
            )
        return one

    def share(self) -> NDArray | None:
        """Return the share of attention's output in its sum with the residual."""
        output, residual = self._point("output"), self._point("residual", above=1)
        _, queries, keys = self.layer.weights.shape
        if output is None or residual is None or queries != keys:
            return None
        new, old = (
            np.linalg.norm(self._one(name, array, 2), axis=-1) for name, array in (output, residual)
        )
        for name, norms in ((output[0], new), (residual[0], old)):
            if norms.shape != (queries,):
                raise ValueError(
                    f"{name!r} does not have one vector for each of {queries} queries; "
                    "(batch, tokens, features) is needed."
                )
        return new / np.maximum(new + old, np.finfo(np.float32).tiny)


def encode_operands(operands: Operands, weights: NDArray, blobs: list[str]) -> dict[str, Any]:
    """Encode the captured values of a layer, appending its arrays to `blobs`.

    Returns:
        Its entries in the payload: `neurons`, `valueNorms` and `attentionShare`, or None.
    """

    def line(values: NDArray) -> dict[str, object]:
        scale, text = encode.encode_line(values)
        blobs.append(text)
        return {**scale, "blob": len(blobs) - 1}

    def lines(arrays: NDArray | None) -> list[dict[str, object]] | None:
        return None if arrays is None else [line(each) for each in arrays]

    query, key, scores, norms, share = operands
    neurons = None
    if query is not None and key is not None:
        scale = _scale(query, key, weights)
        neurons = {"size": query.shape[2], "scale": scale, "query": lines(query)}
        neurons |= {"key": lines(key), "scores": lines(scores)}
    return {
        "neurons": neurons,
        "valueNorms": lines(norms),
        "attentionShare": None if share is None else line(share),
    }


def _scale(query: NDArray, key: NDArray, weights: NDArray) -> float | None:
    """Return the scale whose softmax of query · key gives the weights, or None if neither does."""
    products = np.einsum("hqd,hkd->hqk", query, key)
    for scale in (query.shape[2] ** -0.5, 1.0):
        scores = np.where(weights > 0, scale * products, -np.inf)
        largest = scores.max(-1, keepdims=True)
        rates = np.exp(scores - np.where(np.isfinite(largest), largest, 0))
        total = rates.sum(-1, keepdims=True)
        if np.allclose(rates / np.where(total > 0, total, 1), weights, atol=_CLOSE):
            return float(scale)
    return None
