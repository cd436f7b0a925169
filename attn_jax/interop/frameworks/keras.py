"""Keras: layers push their names, which the process numbers; attribute paths replace them."""

import collections
import contextlib
import functools
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

from attn_jax.interop.frameworks.framework import Framework
from attn_jax.interop.patching import Patches
from attn_jax.interop.scopes import Path, is_known, module_scope

# Attributes that hold the layers again which other attributes, or the graph of a model, hold.
_COPIES = {"_layers", "_functional", "_tracker", "_inbound_nodes", "_outbound_nodes", "_operations"}


class Keras(Framework):
    """Layers and models of Keras on jax."""

    def __init__(self):
        super().__init__(sys.modules["keras.layers"].Layer)

    def children(self, module: Any) -> Iterator[tuple[Path, Any]]:
        """Yield the layers of a functional or Sequential model, and the attributes."""
        if isinstance(module, sys.modules["keras"].Sequential) or hasattr(module, "_operations"):
            yield from _numbered(module.layers)
        for name, child in vars(module).items():
            if name not in _COPIES:
                yield (name.lstrip("_"),), child

    def patches(self, model: Any) -> Patches:
        """Return a replacement for the place where a layer opens the scope with its name."""
        del model
        return {(self.base, "_open_name_scope"): _renamed}


def _renamed(open_scope: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that opens the scope of a layer under the attribute path instead."""

    @functools.wraps(open_scope)
    def renamed(self):
        scope = open_scope(self)
        if is_known(self):
            # A layer without weights, as a softmax, is a step of the layer around it.
            is_step = not self.weights
            scope._jax_name_scope = contextlib.nullcontext() if is_step else module_scope(self)
        return scope

    return renamed


def _numbered(layers: list[Any]) -> Iterator[tuple[Path, Any]]:
    """Yield layers by their names; those that Keras named, by class and number in the model."""
    classes = [_automatic_name(layer) for layer in layers]
    totals = collections.Counter(classes)
    numbers = collections.defaultdict(int)
    for layer, stem in zip(layers, classes, strict=True):
        if stem is None:
            yield (layer.name,), layer
            continue
        number = (str(numbers[stem]),) if totals[stem] > 1 else ()
        numbers[stem] += 1
        yield (stem, *number), layer


def _automatic_name(layer: Any) -> str | None:
    """Return the name that Keras gives the layers of a class; None if the user named this one."""
    stem = re.sub(r"_\d+$", "", layer.name)
    words = re.sub(r"\W|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(layer).__name__)
    return stem if stem == words.lower() else None
