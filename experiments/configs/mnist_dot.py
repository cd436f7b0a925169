"""MNIST by dot-product attention (Luong 2015) over image patches."""

from attn_jax.nn import DotProductAttention
from experiments.image import RECIPE, TASK, ImageExperiment, classifier

experiment = ImageExperiment(
    model=classifier(DotProductAttention()),
    task=TASK,
    train=RECIPE,
)
