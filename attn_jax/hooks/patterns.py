"""Which hook points a pattern means, and what was probably meant if it means none."""

import difflib
import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence

from attn_jax.hooks.errors import HookError

# Stands in a name for every index of a loop at once. It is long, so that `*` matches it and
# neither `?` nor `[0-9]` does.
_EVERY = "\0" * 64

At = tuple[int | None, ...]
"""For each loop in a name, the outermost first: the one index that is meant, or None for all."""


def indices(pattern: str, name: str, lengths: Sequence[int]) -> list[At]:
    """Match a pattern with a name in which each `*` stands for the index of a loop.

    Args:
        pattern: a glob in which `*` crosses dots, and which means all uses of a module at once;
            or a name in full.
        name: the name of a hook point.
        lengths: for each `*` of the name, how many indices there are.

    Returns:
        What the pattern selects; empty if it does not match.

    Example:
        >>> indices("*.weights", "layers.*.weights", (3,))
        [(None,)]
        >>> indices("layers.[02].weights", "layers.*.weights", (3,))
        [(0,), (2,)]
    """
    if pattern == name:
        return [(None,) * len(lengths)]
    matches = re.compile(fnmatch.translate(pattern)).match

    def hit(text: str) -> bool:
        # The leading dot lets `*.weights` mean a root's own `weights` too, and without its
        # number a module's second use is meant like its first.
        texts = (text, text.partition("#")[0]) if _is_glob(pattern) else (text,)
        return any(matches(text) or matches("." + text) for text in texts)

    head, *rest = name.split("*") if lengths else [name]
    return _fill(hit, head, rest, lengths)


def _is_glob(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")


def _fill(
    hit: Callable[[str], bool], head: str, rest: Sequence[str], lengths: Sequence[int]
) -> list[At]:
    if not rest:
        return [()] if hit(head) else []
    every = _fill(hit, head + _EVERY + rest[0], rest[1:], lengths[1:])
    if every:
        return [(None, *at) for at in every]
    return [
        (i, *at)
        for i in range(lengths[0])
        for at in _fill(hit, f"{head}{i}{rest[0]}", rest[1:], lengths[1:])
    ]


def key(name: str, at: At) -> str:
    """Write the chosen indices into a name.

    Example:
        >>> key("layers.*.weights", (2,))
        'layers.2.weights'
    """
    head, *rest = name.split("*") if at else [name]
    stars = ("*" if i is None else str(i) for i in at)
    return head + "".join(star + part for star, part in zip(stars, rest, strict=True))


def no_match(pattern: str, names: Iterable[str]) -> HookError:
    """Return the error for a pattern that matches none of the names."""
    names = list(names)
    if not names:
        return HookError(
            f"no hook point matches {pattern!r}: the function reaches none. Name values with "
            "`x = tap(name, x)`, and use what it returns."
        )
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return HookError(
        f"no hook point matches {pattern!r}; did you mean {_nearest(pattern, names)!r}? "
        f"{len(names)} points exist: {shown} (hook_points(fn)(*args) lists them)."
    )


def _nearest(pattern: str, names: Sequence[str]) -> str:
    def alike(name: str) -> tuple[float, float]:
        leaves = difflib.SequenceMatcher(None, pattern.rpartition(".")[2], name.rpartition(".")[2])
        return leaves.ratio(), difflib.SequenceMatcher(None, pattern, name).ratio()

    return max(names, key=alike)
