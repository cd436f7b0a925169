"""Recognition by monotonic chunkwise attention."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.speech.attention import AttentionExperiment
from experiments.truth.evidence import Evidence


class ChunkwiseExperiment(AttentionExperiment):
    """Write words by a reader that moves forward, soft in training and hard in use."""

    def run(
        self, params: Any, batch: Mapping[str, Any]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the words heard, the attention of those said, and its center of mass."""
        return self.hear_by(self.sized_model().hardened(), params, batch)

    def evidence(self, params: Any) -> Evidence | None:
        """Return words of test utterances; the soft reader is asked, which has gradients.

        Its weights sum to less than one where it may pass all states.
        """
        evidence = super().evidence(params)
        if evidence is None:
            return None
        word = np.asarray(evidence.inputs[-1])
        return dataclasses.replace(
            evidence, attention=self.model.pattern, query=word, normalized=False
        )
