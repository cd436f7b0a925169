"""A run of a model with all its attention weights captured, and how large the model is."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from attn_jax import hooks
from attn_jax.pretrained import Pretrained


def capture_weights(
    model: Pretrained, inputs: Mapping[str, Any], others: Sequence[str] = ()
) -> tuple[Any, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Run a model in one program and capture the weights of all its attention.

    Args:
        model: The model.
        inputs: Its arguments by name.
        others: Patterns of other hook points to capture, from which a report card is made.

    Returns:
        The output; the weights by hook point, `(batch, heads, queries, keys)`, layer by layer; and
        the other values.
    """
    run = jax.jit(hooks.capture(model.model.apply, ["*.weights", *others]))
    out, captured = run(model.variables, **inputs)
    values = {name: np.asarray(value) for name, value in captured.items()}
    # jit sorts names as text, layer 10 before layer 2.
    weights = sorted((name for name in values if name.endswith(".weights")), key=by_number)
    return out, {name: values.pop(name) for name in weights}, values


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
