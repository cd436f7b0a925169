"""MNIST by multi-head attention, four heads (Vaswani 2017) over image patches."""

from attn_jax.nn import MultiHeadAttention
from experiments.image import RECIPE, TASK, ImageExperiment, classifier

experiment = ImageExperiment(
    model=classifier(MultiHeadAttention()),
    task=TASK,
    train=RECIPE,
)
