"""Bags of MNIST digits that are positive if they hold a nine (Ilse 2018)."""

from attn_jax.models import BagClassifier
from attn_jax.tasks import MnistBags
from attn_jax.train import TrainConfig
from experiments.bags import BagsExperiment

experiment = BagsExperiment(
    model=BagClassifier(),
    task=MnistBags(),
    train=TrainConfig(
        epochs=30, batch_size=20, learning_rate=1e-3, weight_decay=0.05, steps_per_call=50
    ),
)
