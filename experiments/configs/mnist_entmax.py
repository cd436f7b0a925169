"""MNIST by additive attention with 1.5-entmax's exact zeros (Peters 2019) over image patches."""

from attn_jax.nn import AdditiveAttention
from attn_jax.ops import entmax15
from experiments.image import RECIPE, TASK, ImageExperiment, classifier

experiment = ImageExperiment(
    model=classifier(AdditiveAttention(normalizer=entmax15)),
    task=TASK,
    train=RECIPE,
)
