"""The settings of a training run."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How to train; every field is an option of the command line."""

    epochs: int = 10
    """Passes over the training examples."""
    batch_size: int = 128
    """Examples in a step, over all devices. An epoch's incomplete last batch is dropped."""
    learning_rate: float = 1e-3
    """AdamW's step size, at its highest."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """What the learning rate does after warm-up: fall to zero along a cosine, or stay."""
    warmup: float = 0.05
    """The fraction of all steps in which the learning rate rises from zero."""
    weight_decay: float = 1e-2
    """AdamW's decay, of matrices only: biases, scales and single vectors do not decay."""
    clip_norm: float = 1.0
    """Gradients are scaled down to this global norm where theirs is larger; 0 never does."""
    label_smoothing: float = 0.0
    """The share of each target spread evenly over all the classes."""
    seed: int = 0
    """Of the parameters, the order of the examples, dropout and augmentation."""
    steps_per_call: int = 1
    """Steps in one call of the device. On CPUs, dense models gain from 100 and convolutions lose
    much from anything but 1, so choose by measurement."""
    eval_batch_size: int = 0
    """Examples in a batch of evaluation; 0 means four times batch_size."""
    log_every: int = 100
    """Steps between rows of metrics within an epoch, whose end always has one; 0: none within."""
    checkpoint_every: int = 0
    """Steps between checkpoints, besides the one at each epoch's end; 0 means those only."""
    keep: int = 3
    """Checkpoints kept: the last so many, and the best one on validation."""
    best: str = "validation/accuracy"
    """The metric that the best checkpoint is chosen by; a loss is best where it is least."""
    bucket_run: int = 1
    """Consecutive batches of one shape, where the task has several. More are a little faster, as
    one call of the device may take them; translators learn less well from them."""

    def __post_init__(self) -> None:
        """Refuses values that no run can have."""
        for name in ("epochs", "batch_size", "steps_per_call", "keep", "bucket_run"):
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
