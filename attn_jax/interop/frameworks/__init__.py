"""What `named` has to know of each library: how to walk its modules and where their calls begin."""

import functools
import sys
from collections.abc import Callable
from typing import Any

from attn_jax.interop.frameworks.equinox import Equinox
from attn_jax.interop.frameworks.framework import Framework
from attn_jax.interop.frameworks.keras import Keras
from attn_jax.interop.frameworks.penzai import Penzai

# The module of each library that every model of it has imported.
_FRAMEWORKS: dict[str, Callable[[], Framework]] = {
    "flax.nnx": lambda: Framework(sys.modules["flax.nnx"].Module),
    "equinox": Equinox,
    "keras.layers": Keras,
    "penzai.nn.grouping": Penzai,
}
_load = functools.cache(lambda framework: framework())


def framework_of(model: Any) -> Framework | None:
    """Return the framework of a model; None if its library pushes good names itself.

    A library that is not imported yet cannot have made the model, and is not imported here.
    """
    if _names_itself(model):
        return None
    for module, framework in _FRAMEWORKS.items():
        if module in sys.modules and any(_load(framework).modules(model)):
            return _load(framework)
    raise TypeError(
        f"model={type(model).__name__} is not an NNX, Equinox, Keras or penzai model, nor a list, "
        "tuple or dictionary of them. Linen and haiku models are accepted too, but need no names; "
        "in a function of your own, use jax.named_scope."
    )


def _names_itself(model: Any) -> bool:
    linen, haiku = sys.modules.get("flax.linen"), sys.modules.get("haiku")
    is_linen = linen is not None and isinstance(model, linen.Module)
    transformed = () if haiku is None else (haiku.Transformed, haiku.TransformedWithState)
    return is_linen or isinstance(model, transformed)


__all__ = ["Framework", "framework_of"]
