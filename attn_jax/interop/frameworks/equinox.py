"""Equinox: modules are pytrees, rebuilt by each transformation that flattens them."""

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

from attn_jax.interop.frameworks.framework import Framework
from attn_jax.interop.patching import Patches
from attn_jax.interop.scopes import Path, module_scope


class Equinox(Framework):
    """Modules of Equinox, and the wrappers that its transformations put around them."""

    def __init__(self):
        super().__init__(sys.modules["equinox"].Module)

    def children(self, module: Any) -> Iterator[tuple[Path, Any]]:
        """Yield the attributes of a module.

        A module inside `eqx.filter_vmap` and the like has the path of what wraps it.
        """
        if _is_wrapper(type(module)):
            yield (), _wrapped(module)
        else:
            yield from super().children(module)

    def patches(self, model: Any) -> Patches:
        """Return a replacement of each method of a module, and of the calls of wrappers."""
        wrappers = filter(_is_wrapper, _subclasses(self.base))
        return {**super().patches(model), **{(w, "__call__"): _in_inner_scope for w in wrappers}}


def _in_inner_scope(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return the call of a wrapper, in the scope of the module inside.

    So the scope stands around the transformation: `jax.jit` and `jax.checkpoint` trace a function
    once for all layers, and could not tell them apart inside it.
    """

    @functools.wraps(call)
    def scoped(self, *args, **kwargs):
        with module_scope(_wrapped(self)):
            return call(self, *args, **kwargs)

    return scoped


def _is_wrapper(owner: type) -> bool:
    is_equinox = owner.__module__.partition(".")[0] == "equinox"
    return is_equinox and isinstance(getattr(owner, "__wrapped__", None), property)


def _wrapped(wrapper: Any) -> Any:
    """Return the module, or the function, inside a wrapper."""
    while _is_wrapper(type(wrapper)):
        is_method = "__self__" in vars(wrapper)
        wrapper = vars(wrapper)["__self__"] if is_method else wrapper.__wrapped__
    return wrapper


def _subclasses(owner: type) -> Iterator[type]:
    for subclass in owner.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
