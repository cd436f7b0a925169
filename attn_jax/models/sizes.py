"""Model sizes that depend on the data and are filled in from a task."""

from flax import linen as nn


def filled(module: nn.Module, size: str) -> int:
    """Return a size of a module, which must be filled in.

    Args:
        module: The module.
        size: The name of the attribute.

    Raises:
        ValueError: If it is None.
    """
    value = getattr(module, size)
    if value is None:
        raise ValueError(
            f"{size}=None must be a number before the model is used; fill it in from the task with "
            "model.clone(**task.sizes)."
        )
    return value
