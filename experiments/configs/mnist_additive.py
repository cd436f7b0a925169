"""MNIST by additive attention (Bahdanau 2015) over image patches."""

from attn_jax.nn import AdditiveAttention
from experiments.image import RECIPE, TASK, ImageExperiment, classifier

experiment = ImageExperiment(
    model=classifier(AdditiveAttention()),
    task=TASK,
    train=RECIPE,
)
