"""See, edit and trust attention in JAX and Flax.

Each package can be used on its own, and is imported when it is first named:
:mod:`attn_jax.hooks` reads and edits named values in any JAX function, :mod:`attn_jax.ops` has
attention as pure functions, :mod:`attn_jax.nn` as Flax modules, :mod:`attn_jax.models` whole
networks, :mod:`attn_jax.pretrained` the checkpoints of others, :mod:`attn_jax.tasks` data,
:mod:`attn_jax.train` training, :mod:`attn_jax.measure` numbers about attention,
:mod:`attn_jax.circuits` the verbs of interpretability, :mod:`attn_jax.plot` pictures, and
:mod:`attn_jax.interop` names for the models of other libraries.

>>> import attn_jax
>>> attn_jax.ops.causal_mask(2, 2).tolist()
[[True, False], [True, True]]
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attn_jax import (
        circuits,
        hooks,
        interop,
        measure,
        models,
        nn,
        ops,
        plot,
        pretrained,
        tasks,
        train,
    )

__all__ = [
    "circuits",
    "hooks",
    "interop",
    "measure",
    "models",
    "nn",
    "ops",
    "plot",
    "pretrained",
    "tasks",
    "train",
]
__version__ = "0.2.0"


def __getattr__(name: str) -> ModuleType:
    """Import a package when it is first named."""
    if name in __all__:
        return importlib.import_module(f"attn_jax.{name}")
    raise AttributeError(f"module 'attn_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the packages, imported or not."""
    return sorted({*globals(), *__all__})
