"""MNIST by gated attention (Qiu 2025), four heads over image patches, each with an output gate."""

from attn_jax.nn import GatedAttention
from experiments.image import RECIPE, TASK, ImageExperiment, classifier

experiment = ImageExperiment(
    model=classifier(GatedAttention()),
    task=TASK,
    train=RECIPE,
)
