"""MNIST by cosine attention with a learned temperature (Graves 2014) over image patches."""

from attn_jax.nn import CosineAttention
from experiments.image import RECIPE, TASK, ImageExperiment, classifier

experiment = ImageExperiment(
    model=classifier(CosineAttention()),
    task=TASK,
    train=RECIPE,
)
