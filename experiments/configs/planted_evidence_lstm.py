"""Texts whose evidence is known, by an LSTM with attention (Jain and Wallace 2019)."""

from attn_jax.models import RecurrentClassifier
from attn_jax.tasks import PlantedEvidence
from attn_jax.train import TrainConfig
from experiments.planted_evidence import PlantedEvidenceExperiment

experiment = PlantedEvidenceExperiment(
    model=RecurrentClassifier(),
    task=PlantedEvidence(train=16_000),
    train=TrainConfig(epochs=3, batch_size=128, learning_rate=3e-3, steps_per_call=20),
)
