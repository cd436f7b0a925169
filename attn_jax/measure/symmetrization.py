"""One alignment out of two, from the alignments of both directions of translation."""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from jaxtyping import Array, Bool

Symmetrization = Literal["intersection", "union", "grow-diag-final", "grow-diag-final-and"]
"""How the links of two directions are joined."""

_NEIGHBORS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def symmetrize(
    forward: Bool[Array | np.ndarray, "*b t s"],
    backward: Bool[Array | np.ndarray, "*b t s"],
    method: Symmetrization = "grow-diag-final-and",
) -> Bool[np.ndarray, "*b t s"]:
    """Join the links of two directions of translation into one alignment.

    `intersection` is precise and `union` complete. `grow-diag-final` begins with the intersection
    and adds links of the union beside or diagonal to links that are there, as long as one of
    their words has no link yet; then it adds the remaining links of each direction that have such
    a word. `grow-diag-final-and` adds the remaining ones only if neither of their words has a
    link; most published tables use it.

    It runs in NumPy, not under `jit`: each link depends on those added before it, from the first
    target word and the first source word on.

    Args:
        forward: The links of the translation from source to target.
        backward: The links of the translation from target to source, with the same axes: transpose
            what is made of its own attention, which is (source, target).
        method: How to join them.

    Returns:
        The links of the alignment.

    Raises:
        ValueError: If the method is unknown or the shapes differ.

    Example:
        >>> forward = np.array([[True, False], [True, False]])
        >>> backward = np.array([[True, False], [False, True]])
        >>> symmetrize(forward, backward, "intersection").astype(int).tolist()
        [[1, 0], [0, 0]]
        >>> symmetrize(forward, backward).astype(int).tolist()
        [[1, 0], [1, 1]]

    References:
        Koehn, Och and Marcu, "Statistical Phrase-Based Translation", 2003, section 4.2,
        https://aclanthology.org/N03-1017; Koehn, Axelrod, Birch Mayne, Callison-Burch, Osborne and
        Talbot, "Edinburgh System Description for the 2005 IWSLT Speech Translation Evaluation",
        2005, section 2, https://aclanthology.org/2005.iwslt-1.8.
    """
    if method not in get_args(Symmetrization):
        raise ValueError(f"method={method!r} must be one of {', '.join(get_args(Symmetrization))}.")
    forward, backward = np.asarray(forward, bool), np.asarray(backward, bool)
    if forward.shape != backward.shape or forward.ndim < 2:
        raise ValueError(
            f"forward has shape {forward.shape} and backward {backward.shape}; both must have the "
            "same, (*b, t, s). Transpose the last two axes of the backward links."
        )
    if method == "intersection":
        return forward & backward
    if method == "union":
        return forward | backward
    enough = any if method == "grow-diag-final" else all
    links = np.zeros(forward.shape, bool)
    for sentence in np.ndindex(forward.shape[:-2]):
        links[sentence] = _grow_diag_final(forward[sentence], backward[sentence], enough)
    return links


def _grow_diag_final(
    forward: np.ndarray, backward: np.ndarray, enough: Callable[[tuple[bool, bool]], bool]
) -> np.ndarray:
    """Grow the intersection, then add the links of which enough words are free."""
    links, union = forward & backward, forward | backward
    size = 0
    while size < links.sum():
        size = links.sum()
        _grow_diag(links, union)
    for direction in (forward, backward):
        for target, source in np.argwhere(direction).tolist():
            links[target, source] |= enough(_free(links, target, source))
    return links


def _grow_diag(links: np.ndarray, union: np.ndarray) -> None:
    """Go through the links once, those added on the way included, and add neighbors in place."""
    height, width = links.shape
    for target, source in np.ndindex(height, width):
        if not links[target, source]:
            continue
        for down, right in _NEIGHBORS:
            t, s = target + down, source + right
            if 0 <= t < height and 0 <= s < width and union[t, s]:
                links[t, s] |= any(_free(links, t, s))


def _free(links: np.ndarray, target: int, source: int) -> tuple[bool, bool]:
    """Return whether the target word and the source word have no link yet."""
    return not links[target].any(), not links[:, source].any()
