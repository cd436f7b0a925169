"""How translators are trained, and what a task wants otherwise."""

import dataclasses

from attn_jax.tasks.translation.task import REAL
from attn_jax.train import TrainConfig


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How much a translator is trained on a task, where its own settings are for another."""

    epochs: int
    """Passes over the examples."""
    examples: int | None = None
    """How many there are; None for the task's own choice."""
    dropout_rate: float = 0.0
    """Of the model."""


RECIPE = TrainConfig(
    epochs=6,
    batch_size=128,
    learning_rate=3e-3,
    weight_decay=0.0,
    best="validation/exact",
    # Attention is found within the first hundred steps; each row is a frame of the film.
    log_every=25,
)
"""How the recurrent translators are trained; found by trials on the validation split."""

# Of real sentences there are fewer than there is to learn.
RECIPES = {task: Recipe(epochs=10, dropout_rate=0.3) for task in REAL}
"""The same for tasks that want something else."""
