"""The interface between a task whose truth is known and the measurements."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import numpy as np


@dataclasses.dataclass(frozen=True)
class Evidence:
    """A trained model, examples, and the keys that decide each example's answer.

    Attributes:
        fn: A deterministic function from `inputs` to logits, (n, classes), or (n,) for one logit,
            whose attention weights (n, ..., q, k) have hook points.
        inputs: A batch of its inputs, any pytree of arrays with the examples first.
        target: The class to explain, which is the right answer, (n,).
        truth: True for the keys that decide the answer, (n, k); at least one for each example. None
            if they are not known; then only the report card judges the attention.
        attention: The hook points of the attention that should find them: a glob, or several.
            Removing a key removes it from all of them.
        mask: True for the keys that exist, (n, k); all by default. Needed without a truth.
        query: The query whose weights are the map: its index, or one for each example, (n,). The
            mean over all by default.
        layers: The hook points of self-attention over the keys, the first layer first, if the
            model has such layers. Rollout, flow and Chefer's relevance go through them. They are
            read at `query`; if `attention` has other hook points, they read the last layer.
        metrics: The metrics of the run's last row that say how well the task is solved.
        normalized: Whether the weights of a query sum to one; those of gates do not.
        visible: `"mask"` if a weight of zero doesn't mean that the key is hidden, as for sparsemax.
        resample: How the card replaces the inputs at keys. None if they cannot be: needed where an
            image has as many rows as the attention has keys, so that its rows pass for keys.
    """

    fn: Callable[[Any], jax.Array]
    inputs: Any
    target: np.ndarray
    truth: np.ndarray | None
    attention: str | Sequence[str]
    mask: np.ndarray | None = None
    query: int | np.ndarray | None = None
    layers: Sequence[str] = ()
    metrics: Sequence[str] = ("test/accuracy",)
    normalized: bool = True
    visible: Literal["operands", "nonzero", "mask"] = "operands"
    resample: Callable[[Any, Any, Any], Any] | Literal["auto"] | None = "auto"

    def __post_init__(self) -> None:
        if self.truth is None:
            if self.mask is None:
                raise ValueError("without a truth, mask must say which keys exist, (n, keys).")
            return
        truth, target = np.shape(self.truth), np.shape(self.target)
        if len(truth) != 2 or target != truth[:1]:
            raise ValueError(
                f"truth has shape {truth} and target {target}; (n, keys) and (n,) are needed."
            )
        if self.exists.shape != truth:
            raise ValueError(f"mask has shape {self.exists.shape}, but truth {truth}.")
        outside = int((np.asarray(self.truth) & ~self.exists).sum())
        without = int((~np.asarray(self.truth).any(-1)).sum())
        if outside or without:
            raise ValueError(
                f"{without} of {truth[0]} examples have no truth, and {outside} keys of the "
                "truth do not exist; leave such examples out."
            )

    @property
    def exists(self) -> np.ndarray:
        """The mask, also where none was given."""
        if self.mask is None:
            return np.ones(np.asarray(self.truth).shape, bool)
        return np.asarray(self.mask)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The globs of `attention`."""
        return (self.attention,) if isinstance(self.attention, str) else tuple(self.attention)

    def first(self, count: int) -> "Evidence":
        """Return the evidence of the first examples alone."""
        return dataclasses.replace(
            self,
            inputs=jax.tree.map(lambda array: array[:count], self.inputs),
            target=self.target[:count],
            truth=None if self.truth is None else self.truth[:count],
            mask=None if self.mask is None else self.mask[:count],
            query=self.query[:count] if isinstance(self.query, np.ndarray) else self.query,
        )
