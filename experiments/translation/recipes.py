"""Training settings of the translators, and what differs for some tasks."""

import dataclasses

from attn_jax.tasks.translation.task import REAL
from attn_jax.train import TrainConfig


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The settings of a translator on a task that differs from its usual one."""

    epochs: int
    """Passes over the training examples."""
    examples: int | None = None
    """Number of training examples; None for the task's own choice."""
    dropout_rate: float = 0.0
    """The model's dropout rate."""


RECIPE = TrainConfig(
    epochs=6,
    batch_size=128,
    learning_rate=3e-3,
    weight_decay=0.0,
    best="validation/exact",
    # Attention settles within the first hundred steps; each row is a frame of the film.
    log_every=25,
)
"""Settings of the recurrent translators, found by trials on the validation split."""

# Real corpora are small for what there is to learn, so models overfit without dropout.
RECIPES = {task: Recipe(epochs=10, dropout_rate=0.3) for task in REAL}
"""The recipe of each task that needs other settings, by the task's name."""
