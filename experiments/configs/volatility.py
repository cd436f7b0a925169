"""Tomorrow's and next month's volatility of stock indices, by attention over past days."""

from attn_jax.models import HorizonAttention
from attn_jax.tasks import Volatility
from attn_jax.train import TrainConfig
from experiments.volatility.experiment import VolatilityExperiment

experiment = VolatilityExperiment(
    model=HorizonAttention(),
    task=Volatility(),
    train=TrainConfig(
        epochs=3,
        batch_size=128,
        learning_rate=2e-3,
        best="validation/loss",
        steps_per_call=20,
    ),
)
"""Learns all folds side by side."""
