"""Masks of transformers as the rules they follow, not as arrays of queries × keys.

transformers makes a mask from functions of two positions: causal, a window, segments. Those that it
brings are recognized here, and become arguments of `ops.attention`. Any other is laid out.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from attn_jax.interop.pytorch.packages import packages

Rules = dict[str, Any]
"""What is known of a mask: `causal`, `left`, `right` (of a window), `segment_ids`, `key_mask`."""


def rules_of(mask: Callable[..., Any], keys: int, is_packed: bool) -> Rules | None:
    """Return the rules that a mask function of transformers follows; None if it has others.

    Args:
        mask: The function, of the indices of a sequence, a head, a query and a key.
        keys: The number of keys.
        is_packed: Whether positions may start anew within a sequence. transformers compares
            segments whenever it cannot read the positions, even if they simply count up.
    """
    masking = packages().masking
    if mask is masking.causal_mask_function:
        return {"causal": True}
    if mask is masking.bidirectional_mask_function:
        return {}
    if getattr(mask, "__module__", None) != masking.__name__:
        return None
    variables = inspect.getclosurevars(mask).nonlocals
    match mask.__qualname__.partition(".")[0]:
        case "and_masks":
            parts = variables["mask_functions"]
            return _joined([rules_of(part, keys, is_packed) for part in parts])
        case "remap_positions_for_packed_sequence":
            # Within a segment, positions are in the order of the tokens.
            return rules_of(variables["mask_function"], keys, is_packed)
        case "packed_sequence_mask_function":
            ids = variables["packed_sequence_mask"]
            return {"segment_ids": ids.jax()} if is_packed else {}
        case "sliding_window_overlay":
            return {"left": variables["sliding_window"] - 1}
        case "sliding_window_bidirectional_overlay":
            return dict.fromkeys(("left", "right"), variables["sliding_window"])
        case "chunked_overlay":
            positions = jnp.arange(keys)[None] - variables["left_padding"].jax()[:, None]
            return {"segment_ids": positions // variables["chunk_size"]}
    return None


def _joined(parts: list[Rules | None]) -> Rules | None:
    """Return what holds where all of these rules do, if rules can say it."""
    joined: Rules = {}
    for part in parts:
        if part is None or ("segment_ids" in part and "segment_ids" in joined):
            return None
        for name, value in part.items():
            is_side = name in ("left", "right") and name in joined
            joined[name] = min(value, joined[name]) if is_side else value
    return joined


def arguments_of(rules: Rules, queries: int, keys: int) -> dict[str, Any]:
    """Return rules as arguments of `ops.attention`."""
    arguments = {
        name: rules[name] for name in ("causal", "segment_ids", "key_mask") if name in rules
    }
    if "left" in rules or "right" in rules:
        arguments["window"] = (rules.get("left", queries), rules.get("right", keys))
    return arguments


@functools.cache
def ruled_mask_class() -> type:
    """Return the class of a mask that is laid out only if the model itself computes with it."""

    class RuledMask(packages().torchax.tensor.Tensor):
        def __new__(cls, rules, shape, lay_out, env):
            return super().__new__(cls, jax.ShapeDtypeStruct(shape, bool), env)

        def __init__(self, rules, shape, lay_out, env):
            self.rules, self._shape, self._lay_out = rules, shape, lay_out
            super().__init__(None, env)

        @property
        def _elem(self):
            if self._array is None:
                self._array = self._lay_out().jax()
            return self._array

        @_elem.setter
        def _elem(self, array):
            self._array = array

        @property
        def shape(self):
            return packages().torch.Size(self._shape)

        @property
        def ndim(self):
            return len(self._shape)

        @property
        def dtype(self):
            return packages().torch.bool

    return RuledMask
