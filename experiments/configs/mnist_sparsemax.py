"""MNIST by additive attention with sparsemax's exact zeros (Martins 2016) over image patches."""

from attn_jax.nn import AdditiveAttention
from attn_jax.ops import sparsemax
from experiments.image import RECIPE, TASK, ImageExperiment, classifier

experiment = ImageExperiment(
    model=classifier(AdditiveAttention(normalizer=sparsemax)),
    task=TASK,
    train=RECIPE,
)
