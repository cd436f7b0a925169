"""Tensors that a checkpoint stores once, under one of several names."""

from collections.abc import Mapping

import numpy as np

from attn_jax.pretrained.reading.tensors import Tensors


class OneNameTensors(Tensors):
    """Tensors under one name each.

    Args:
        tensors: The tensors of a checkpoint.
        synonyms: For a name, the others that the tensor may have; the first one there is taken.
    """

    def __init__(self, tensors: Tensors, synonyms: Mapping[str, tuple[str, ...]]) -> None:
        others = {other for names in synonyms.values() for other in names}
        # A set, as asking the tensors for a name reads the tensor.
        available = set(tensors)
        stored = {name: name for name in tensors if name not in others}
        for name, names in synonyms.items():
            present = [other for other in (name, *names) if other in available]
            if present:
                stored[name] = present[0]
        super().__init__(stored)
        self._stored = stored
        self._tensors = tensors

    def __getitem__(self, name: str) -> np.ndarray:
        return self._tensors[self._stored[name]]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor without reading it."""
        return self._tensors.shape(self._stored[name])
