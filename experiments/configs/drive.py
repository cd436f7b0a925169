"""What a driver does on a simulated road, by attention to the cars around (Leurent 2019)."""

from attn_jax.models import EgoAttention
from attn_jax.tasks import Driving
from attn_jax.train import TrainConfig
from experiments.driving import DrivingExperiment

experiment = DrivingExperiment(
    model=EgoAttention(),
    task=Driving(),
    train=TrainConfig(
        epochs=20,
        batch_size=256,
        learning_rate=3e-3,
        weight_decay=1e-4,
        best="validation/loss",
        steps_per_call=39,
    ),
)
