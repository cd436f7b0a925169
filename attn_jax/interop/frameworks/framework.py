"""The part that all libraries share: modules are objects, and their attributes hold the others."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax

from attn_jax.interop.patching import Patches
from attn_jax.interop.scopes import Path, is_known, module_scope


class Framework:
    """A library whose modules keep their submodules in attributes, lists and dictionaries.

    Args:
        base: The class of all modules.
    """

    def __init__(self, base: type):
        self.base = base

    def modules(self, root: Any) -> Iterator[tuple[Path, Any]]:
        """Yield the modules in a module or container by their paths; a shared one by each path."""
        return walk(root, self, frozenset())

    def children(self, module: Any) -> Iterator[tuple[Path, Any]]:
        """Yield the attributes of a module, by the path that leads to them."""
        for name, child in vars(module).items():
            yield (name,), child

    def arrays(self, module: Any) -> list[Any]:
        """Return the arrays of a module, by which a copy of it can be recognized."""
        return [leaf for leaf in jax.tree.leaves(module) if isinstance(leaf, jax.Array)]

    def scope(self, path: Path) -> contextlib.AbstractContextManager:
        """Return the named scope of a path: one scope, so that a loop inside counts after it."""
        # Slashes, as dots may also stand between a module and its method.
        return jax.named_scope("/".join(path))

    def patches(self, model: Any) -> Patches:
        """Return a replacement of each method of each class, which runs in a named scope."""
        classes = {type(module) for _, module in self.modules(model)}
        owners = {owner for c in classes for owner in c.__mro__} - set(self.base.__mro__)
        scoped = {(owner, name): in_scope for owner in owners for name in _methods(owner)}
        return scoped | {(c, "__getattribute__"): _recognizing for c in classes}


def walk(root: Any, framework: Framework, around: frozenset[int]) -> Iterator[tuple[Path, Any]]:
    """Yield the modules in a module or container by their paths, parents first."""
    is_module = isinstance(root, framework.base)
    is_container = isinstance(root, Sequence | Mapping if is_module else list | tuple | dict)
    # A module may hold one that holds it.
    if id(root) in around or not (is_module or is_container):
        return
    if is_module:
        yield (), root
    children = _items(root) if is_container else framework.children(root)
    for path, child in children:
        for inner, module in walk(child, framework, around | {id(root)}):
            yield path + inner, module


def in_scope(method: Any) -> Callable[..., Any]:
    """Return a method that runs in the named scope of its module."""

    def scoped(self, *args, **kwargs):
        with module_scope(self):
            return method.__get__(self, type(self))(*args, **kwargs)

    return functools.update_wrapper(scoped, method, updated=())


def _recognizing(getter: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """Return a `__getattribute__` that recognizes a rebuilt module when it is first used.

    A method behind `nnx.remat` gets a rebuilt module that nobody calls; its submodules are known
    by their place in it.
    """

    def recognizing(self, name):
        if not name.startswith("__"):
            is_known(self)
        return getter(self, name)

    return recognizing


def _methods(owner: type) -> Iterator[str]:
    """Yield the methods of a class that a user may call on a module."""
    fields = inspect.get_annotations(owner)
    for name, value in vars(owner).items():
        is_special = name.startswith("__") and name != "__call__"
        # Not only functions: `nnx.jit` and the like make descriptors of another kind.
        is_method = callable(value) and hasattr(value, "__get__")
        is_method = is_method and not isinstance(value, staticmethod | type)
        if is_method and not is_special and name not in fields:
            yield name


def _items(container: Any) -> Iterator[tuple[Path, Any]]:
    is_mapping = isinstance(container, Mapping)
    for name, child in container.items() if is_mapping else enumerate(container):
        yield (str(name),), child
