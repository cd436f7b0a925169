"""Capture in one line: a model's output together with its attention weights."""

from typing import Any

import jax
from flax import linen as nn

from attn_jax.hooks import capture

WEIGHTS = "*weights"


def apply_with_weights(
    model: nn.Module, variables: Any, *args: Any, **kwargs: Any
) -> tuple[Any, dict[str, jax.Array]]:
    """Run a model as `model.apply` does, and return every attention's weights as well.

    The call may be jitted, differentiated and vmapped.

    Args:
        model: A Linen module that contains attention modules of this library.
        variables: Its variables, `{"params": ...}`.
        *args: Positional arguments of the model's `__call__`.
        **kwargs: Keyword arguments of `model.apply`.

    Returns:
        The output, and the weights by name: the path of the module and `weights`, joined by dots.

    Raises:
        HookError: If the model has no attention; the message lists its hook points.

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
