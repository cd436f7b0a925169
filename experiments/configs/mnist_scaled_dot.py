"""MNIST by scaled dot-product attention (Vaswani 2017) over image patches."""

from attn_jax.nn import ScaledDotProductAttention
from experiments.image import RECIPE, TASK, ImageExperiment, classifier

experiment = ImageExperiment(
    model=classifier(ScaledDotProductAttention()),
    task=TASK,
    train=RECIPE,
)
