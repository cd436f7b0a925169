"""The cases of the benchmark `attention`, their inputs, and a reference for them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LENGTHS = (128, 512, 1024, 2048, 4096, 8192, 16384, 32768)
# At these lengths every case is measured, at others only those in the figure.
LANDMARKS = (512, 2048, 8192, 32768)
HEADS, FEATURES, WINDOW = 8, 64, 1024
MIB = 2**20
MOST_BYTES = 8192 * MIB
FULL_WORK = HEADS * 8192**2
SIDES = {
    "streaming": "jax",
    "streaming + entropy": "jax",
    "streaming + sums": "jax",
    "streaming + all": "jax",
    "auto": "jax",
    "jax.nn": "jax",
    "Flax": "jax",
    "PyTorch sdpa": "torch",
    "PyTorch flex": "torch",
}
# These compute all scores even under a mask, and take the same time as without one.
_QUADRATIC = ("jax.nn", "Flax")
_LONGEST_MASKED = 2048
_MASKS = ("full", "causal", "window")
DRAWN = ("streaming", "streaming + all", "jax.nn", "Flax", "PyTorch sdpa", "PyTorch flex")


class Case(NamedTuple):
    """One implementation under one mask.

    Attributes:
        contender: One of `SIDES`.
        mask: `"full"`, `"causal"`, or `"window"`: causal, and only the nearest keys.
        passes: `"forward"`, or `"gradient"` for the forward and the backward pass together.
        window: How many keys a query sees under `"window"`, its own among them.
    """

    contender: str
    mask: str = "full"
    passes: str = "forward"
    window: int = WINDOW

    @property
    def name(self) -> str:
        """The contender and its mask."""
        mask = f"window {self.window:,}" if self.mask == "window" else self.mask
        return f"{self.contender}, {mask}"

    def __str__(self) -> str:
        return f"{self.name}, {self.passes}"


FAR, FAR_TOKENS = Case("streaming", "window", window=4096), 131_072


def cases(tokens: int) -> list[Case]:
    """Return the cases to measure at a length, with those that are compared side by side."""
    chosen = [Case(who, passes=passes) for passes in ("forward", "gradient") for who in DRAWN]
    if tokens in LANDMARKS:
        masked = [case for case in chosen if _has_masks(case, tokens)]
        chosen += [case._replace(mask=mask) for case in masked for mask in _MASKS[1:]]
        chosen += [Case("streaming + entropy"), Case("streaming + sums")]
        chosen.append(Case("auto", passes="gradient"))
    chosen.append(Case("auto"))
    return sorted(chosen, key=lambda case: (_MASKS.index(case.mask), case.passes))


def _has_masks(case: Case, tokens: int) -> bool:
    if case.contender in _QUADRATIC:
        return tokens <= _LONGEST_MASKED
    return case.passes == "forward" or case.contender in ("streaming", "PyTorch sdpa")


def heads(tokens: int) -> int:
    """Return how many heads keep the work to that of 8,192 tokens; at least one."""
    return max(1, min(HEADS, FULL_WORK // tokens**2))


def inputs(tokens: int, heads: int) -> NDArray[np.float32]:
    """Return query, key, value and the gradient of the context, `(4, 1, t, h, d)`."""
    shape = (4, 1, tokens, heads, FEATURES)
    return np.random.default_rng(tokens).standard_normal(shape, dtype=np.float32)


def probed(tokens: int) -> NDArray[np.int64]:
    """Return the queries whose results are compared."""
    return np.array([0, tokens // 3, tokens - 1])


def reference(case: Case, arrays: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """Return context and query gradient of the first head at the probed queries, in float64."""
    query, key, value, cotangent = arrays[:, 0, :, 0].astype(np.float64)
    rows, keys = probed(len(query))[:, None], np.arange(len(key))
    scores = query[rows[:, 0]] @ key.T / FEATURES**0.5
    if case.mask != "full":
        scores[keys > rows] = -np.inf
    if case.mask == "window":
        scores[keys <= rows - case.window] = -np.inf
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    results = [weights @ value]
    if case.passes == "gradient":
        slopes = cotangent[rows[:, 0]] @ value.T
        slopes = weights * (slopes - (weights * slopes).sum(axis=-1, keepdims=True))
        results.append(slopes @ key / FEATURES**0.5)
    return results
