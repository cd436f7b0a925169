"""A decorator for functions whose random key must be given by keyword."""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def rng_by_keyword(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function so that an `rng` given by position is refused with the way out.

    Args:
        function: A function with a keyword-only `rng`.

    Example:
        >>> @rng_by_keyword
        ... def draw(count, *, rng):
        ...     return rng
        >>> draw(3, "a key")
        Traceback (most recent call last):
        TypeError: draw() got 2 arguments by position and takes 1 (count); pass rng=... by keyword.
    """
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        if len(args) > len(names):
            raise TypeError(
                f"{function.__name__}() got {len(args)} arguments by position and takes "
                f"{len(names)} ({', '.join(names)}); pass rng=... by keyword."
            )
        return function(*args, **kwargs)

    return checked
