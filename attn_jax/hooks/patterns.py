"""Globs that select hook points by name, and the error for one that selects none."""

import difflib
import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence


class HookError(ValueError):
    """A hook point that does not exist or is out of reach, or an edit or reducer that fails."""


# Stands in a name for every step of a loop at once. It is long, so that `*` matches it but
# neither `?` nor `[0-9]` does.
_EVERY = "\0" * 64

Selection = tuple[int | None, ...]
"""For each loop in a name, the outermost first: the selected step, or None for all of them."""


def match(pattern: str, name: str, lengths: Sequence[int]) -> list[Selection]:
    """Match a pattern against a name in which each `*` stands for the step of a loop.

    Args:
        pattern: A glob, whose `*` crosses dots and which covers every use of a module that is
            called more than once; or a name in full.
        name: The name of a hook point.
        lengths: For each `*` in the name, the number of steps.

    Returns:
        The selections that match; an empty list if the pattern does not match the name.

    Example:
        >>> match("*.weights", "layers.*.weights", (3,))
        [(None,)]
        >>> match("layers.[02].weights", "layers.*.weights", (3,))
        [(0,), (2,)]
    """
    if pattern == name:
        return [(None,) * len(lengths)]
    regex = re.compile(fnmatch.translate(pattern))

    def matches(text: str) -> bool:
        # With a dot in front, `*.weights` also matches a `weights` at the root. Without its
        # number, the second use of a module matches whatever the first use matches.
        texts = (text, text.partition("#")[0]) if _is_glob(pattern) else (text,)
        return any(regex.match(text) or regex.match("." + text) for text in texts)

    head, *tail = name.split("*") if lengths else [name]
    return _select(matches, head, tail, lengths)


def _is_glob(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")


def _select(
    matches: Callable[[str], bool], head: str, tail: Sequence[str], lengths: Sequence[int]
) -> list[Selection]:
    if not tail:
        return [()] if matches(head) else []
    # All steps at once come first: only a pattern that does not match them is about single ones.
    every = _select(matches, head + _EVERY + tail[0], tail[1:], lengths[1:])
    if every:
        return [(None, *selection) for selection in every]
    return [
        (i, *selection)
        for i in range(lengths[0])
        for selection in _select(matches, f"{head}{i}{tail[0]}", tail[1:], lengths[1:])
    ]


def key(name: str, selection: Selection) -> str:
    """Write the selected steps into a name.

    Example:
        >>> key("layers.*.weights", (2,))
        'layers.2.weights'
    """
    head, *tail = name.split("*") if selection else [name]
    steps = ("*" if step is None else str(step) for step in selection)
    return head + "".join(step + part for step, part in zip(steps, tail, strict=True))


def no_match(pattern: str, names: Iterable[str]) -> HookError:
    """Return the error for a pattern that matches none of the names."""
    names = list(names)
    if not names:
        return HookError(
            f"no hook point matches {pattern!r}: the function reaches none. Name values with "
            "`x = tap(name, x)`, and use what it returns."
        )
    listing = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return HookError(
        f"no hook point matches {pattern!r}; did you mean {_nearest(pattern, names)!r}? "
        f"{len(names)} points exist: {listing} (hook_points(fn)(*args) lists them)."
    )


def _nearest(pattern: str, names: Sequence[str]) -> str:
    def similarity(name: str) -> tuple[float, float]:
        # A misspelled leaf is the likeliest mistake, so the leaf counts before the path does.
        leaves = difflib.SequenceMatcher(None, pattern.rpartition(".")[2], name.rpartition(".")[2])
        return leaves.ratio(), difflib.SequenceMatcher(None, pattern, name).ratio()

    return max(names, key=similarity)
