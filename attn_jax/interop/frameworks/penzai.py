"""Penzai: layers are dataclasses, and its sequences push the number of each layer themselves."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from attn_jax.interop.frameworks.framework import Framework
from attn_jax.interop.scopes import Path


class Penzai(Framework):
    """Layers of penzai."""

    def __init__(self):
        super().__init__(sys.modules["penzai.nn.layer"].Layer)
        grouping = sys.modules["penzai.nn.grouping"]
        self.sequences = (grouping.Sequential, grouping.NamedGroup, grouping.CheckedSequential)

    def children(self, module: Any) -> Iterator[tuple[Path, Any]]:
        """Yield the attributes of a layer; the layers of a sequence, by number alone."""
        if not isinstance(module, self.sequences):
            yield from super().children(module)
            return
        for number, layer in enumerate(module.sublayers):
            yield (str(number),), layer

    def scope(self, path: Path) -> contextlib.AbstractContextManager:
        """Return the named scope of a path, unless a sequence has pushed it already."""
        is_pushed = len(path) == 1 and path[0].isdigit()
        return contextlib.nullcontext() if is_pushed else super().scope(path)
