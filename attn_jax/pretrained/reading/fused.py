"""Tensors of which several are stored as one."""

from collections.abc import Mapping

import numpy as np

from attn_jax.pretrained.reading.tensors import Tensors


class SplitTensors(Tensors):
    """Tensors whose fused ones are split along the last axis, and have the names of their parts.

    Args:
        tensors: The tensors of a checkpoint.
        fused: The parts of each fused module, by its name inside a layer.
    """

    def __init__(self, tensors: Tensors, fused: Mapping[str, tuple[str, ...]]) -> None:
        parts: dict[str, tuple[str, int, int]] = {}
        for name in tensors:
            whole = next((module for module in fused if f".{module}." in name), None)
            if whole is None:
                parts[name] = name, 0, 1
                continue
            for i, part in enumerate(fused[whole]):
                parts[name.replace(whole, part)] = name, i, len(fused[whole])
        super().__init__(parts)
        self._parts = parts
        self._tensors = tensors

    def __getitem__(self, name: str) -> np.ndarray:
        whole, i, count = self._parts[name]
        tensor = self._tensors[whole]
        if count == 1:
            return tensor
        size = tensor.shape[-1] // count
        return tensor[..., i * size : (i + 1) * size]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor, or of a part of one, without reading it."""
        whole, _, count = self._parts[name]
        shape = self._tensors.shape(whole)
        # Where the parts are unequal the shape stays that of the whole, which then fits nowhere.
        is_split = count > 1 and shape and shape[-1] % count == 0
        return (*shape[:-1], shape[-1] // count) if is_split else shape
