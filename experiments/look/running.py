"""A run of a model with all its attention weights captured, and how large the model is."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from attn_jax import hooks
from attn_jax.pretrained import Pretrained


def capture_weights(
    model: Pretrained, inputs: Mapping[str, Any]
) -> tuple[Any, dict[str, np.ndarray]]:
    """Run a model in one program and capture the weights of all its attention.

    Args:
        model: The model.
        inputs: Its arguments by name.

    Returns:
        The output, and the weights by hook point, `(batch, heads, queries, keys)`, layer by layer.
    """
    return capture_values(model, inputs, ["*.weights"])


def capture_values(
    model: Pretrained, inputs: Mapping[str, Any], patterns: Sequence[str]
) -> tuple[Any, dict[str, np.ndarray]]:
    """Run a model in one program and capture the values at some hook points, layer by layer."""
    run = jax.jit(hooks.capture(model.model.apply, list(patterns)))
    out, captured = run(model.variables, **inputs)
    # jit sorts names as text, layer 10 before layer 2.
    return out, {name: np.asarray(captured[name]) for name in sorted(captured, key=by_number)}


def by_number(name: str) -> list[tuple[int, str]]:
    """Return the key that sorts the names of hook points by the numbers in them.

    Example:
        >>> from experiments.look.running import by_number
        >>> sorted(["layers.10.attention", "layers.2.attention"], key=by_number)
        ['layers.2.attention', 'layers.10.attention']
    """
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]


def layer_title(name: str) -> str:
    """Return the hook point of a layer's weights as words.

    Example:
        >>> from experiments.look.running import layer_title
        >>> layer_title("layers.3.attention.weights")
        'layer 3'
    """
    return re.sub(r"layers\.(\d+)\.attention\.weights", r"layer \1", name)


def parameters(model: Pretrained) -> str:
    """Return the number of a model's parameters in words."""
    count = sum(each.size for each in jax.tree.leaves(model.variables))
    return f"{count / 1e6:.1f} million" if count >= 1e6 else f"{count:,}"
