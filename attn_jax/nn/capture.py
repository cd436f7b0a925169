"""The one-line capture: run a model and get its attention weights beside its output."""

from typing import Any

import jax
from flax import linen as nn

from attn_jax.hooks import capture

WEIGHTS = "*weights"


def apply_with_weights(
    model: nn.Module, variables: Any, *args: Any, **kwargs: Any
) -> tuple[Any, dict[str, jax.Array]]:
    """Run a model as `model.apply` does, and return every attention's weights as well.

    It may be jitted, differentiated and vmapped like any function.

    Args:
        model: A Linen module that contains attention modules of this library.
        variables: Its variables, `{"params": ...}`.
        *args: What its `__call__` takes.
        **kwargs: What `model.apply` takes by name.

    Returns:
        The output, and the weights by name: the module path and `weights`, joined by dots.

    Raises:
        HookError: If the model has no attention; it lists what there is.

    Example:
        >>> import jax.numpy as jnp
        >>> from attn_jax.nn import AttentionPooling
        >>> model, x = AttentionPooling(), jnp.ones((2, 5, 3))
        >>> variables = model.init(jax.random.key(0), x)
        >>> pooled, weights = apply_with_weights(model, variables, x)
        >>> {name: array.shape for name, array in weights.items()}
        {'attention.weights': (2, 1, 5)}
    """
    return capture(model.apply, WEIGHTS)(variables, *args, **kwargs)
