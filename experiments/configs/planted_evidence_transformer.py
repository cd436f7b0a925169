"""Texts whose evidence is known, by a Transformer that reads its first token (Devlin 2019)."""

from attn_jax.models import TransformerClassifier
from attn_jax.tasks import PlantedEvidence
from attn_jax.train import TrainConfig
from experiments.planted_evidence import PlantedEvidenceExperiment

experiment = PlantedEvidenceExperiment(
    model=TransformerClassifier(),
    task=PlantedEvidence(train=40_000),
    train=TrainConfig(epochs=7, batch_size=128, learning_rate=2e-3, steps_per_call=20),
)
