"""Errors that name the new name of what this release renamed."""

import functools
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def renamed_names(package: str, names: Mapping[str, str]) -> Callable[[str], None]:
    """Return a module's `__getattr__`, which answers an old name with the new one.

    Args:
        package: The module, as `attn_jax.measure`.
        names: The new name for each old one.

    Example:
        >>> renamed_names("attn_jax.measure", {"old": "new"})("old")
        Traceback (most recent call last):
        ImportError: attn_jax.measure.old is now called attn_jax.measure.new.
    """

    def __getattr__(name: str) -> None:
        if name in names:
            # Not an AttributeError: `from package import name` would hide its message.
            raise ImportError(f"{package}.{name} is now called {package}.{names[name]}.")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return __getattr__


def renamed_arguments(**names: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function so that an argument's old name is answered with the new one.

    Args:
        **names: The new name for each old one.

    Example:
        >>> renamed_arguments(most="top_k")(lambda *, top_k: top_k)(most=3)
        Traceback (most recent call last):
        TypeError: <lambda>() takes top_k=..., which used to be called most.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            for old in names.keys() & kwargs.keys():
                raise TypeError(
                    f"{function.__name__}() takes {names[old]}=..., which used to be called {old}."
                )
            return function(*args, **kwargs)

        return checked

    return decorate
