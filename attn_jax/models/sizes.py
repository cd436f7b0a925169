"""Sizes that depend on the data, which a task fills in."""

from flax import linen as nn


def filled(module: nn.Module, size: str) -> int:
    """Return a size of a module.

    Raises:
        ValueError: If it was not filled in.
    """
    value = getattr(module, size)
    if value is None:
        raise ValueError(
            f"{size}=None must be a number before the model is used; fill it from the task "
            "by model.clone(**task.sizes)."
        )
    return value
