"""MNIST by bilinear attention, the "general" score (Luong 2015) over image patches."""

from attn_jax.nn import BilinearAttention
from experiments.image import RECIPE, TASK, ImageExperiment, classifier

experiment = ImageExperiment(
    model=classifier(BilinearAttention()),
    task=TASK,
    train=RECIPE,
)
