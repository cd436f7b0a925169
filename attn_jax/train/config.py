"""The settings of a training run."""

import dataclasses
from typing import Literal

PLACEMENT = ("fsdp", "sequence")
"""The settings that say how a run is laid out on devices, and not what it computes."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run; every field is an option of the command line."""

    epochs: int = 10
    """Number of passes over the training examples."""
    batch_size: int = 128
    """Examples per step, over all devices. An incomplete last batch of an epoch is dropped."""
    learning_rate: float = 1e-3
    """Peak learning rate of AdamW."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Learning rate after warm-up: falls to zero along a cosine, or stays constant."""
    warmup: float = 0.05
    """Fraction of all steps over which the learning rate rises from zero."""
    weight_decay: float = 1e-2
    """Weight decay of AdamW. It applies to matrices only, not to biases, scales or vectors."""
    clip_norm: float = 1.0
    """Gradients with a larger global norm are scaled down to this one; 0 turns clipping off."""
    label_smoothing: float = 0.0
    """Fraction of each target that is spread evenly over all classes."""
    seed: int = 0
    """Seed for parameters, data order, dropout and augmentation."""
    steps_per_call: int = 1
    """Steps per call of the device. On CPUs dense models are faster with 100, and convolutions are
    much slower with anything but 1, so measure."""
    eval_batch_size: int = 0
    """Examples per batch in evaluation; 0 means four times the batch size."""
    log_every: int = 100
    """Steps between rows of metrics, besides the row at each epoch's end; 0 means that row only."""
    checkpoint_every: int = 0
    """Steps between checkpoints, besides the one at each epoch's end; 0 means that one only."""
    keep: int = 3
    """Number of recent checkpoints to keep. The best one on validation is kept as well."""
    best: str = "validation/accuracy"
    """Validation metric that chooses the best checkpoint: the highest value, or the lowest loss."""
    bucket_run: int = 1
    """Consecutive batches of one shape, if the task has several shapes. Longer runs are a little
    faster, because one call of the device can take them, but translators learn less well."""

    fsdp: int = 1
    """Devices that share one copy of the parameters and the optimizer's state. More than 1 saves
    memory, and costs communication; it changes no result but last bits."""
    sequence: int = 1
    """Devices that share each sequence in attention, which goes around the ring of them; for
    lengths that it divides. It changes no result but last bits."""

    def __post_init__(self) -> None:
        """Refuse values that no run can have."""
        counts = ("epochs", "batch_size", "steps_per_call", "keep", "bucket_run")
        for name in (*counts, *PLACEMENT):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("eval_batch_size", "log_every", "checkpoint_every", "seed"):
            self._require(name, getattr(self, name) >= 0, "at least 0")
        for name in ("learning_rate", "weight_decay", "clip_norm"):
            self._require(name, 0 <= getattr(self, name) < float("inf"), "finite and at least 0")
        for name in ("warmup", "label_smoothing"):
            self._require(name, 0 <= getattr(self, name) < 1, "a fraction, at least 0 and below 1")
        self._require("best", self.best.startswith("validation/"), "a metric 'validation/...'")

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise ValueError(f"{name}={getattr(self, name)!r} must be {what}.")
