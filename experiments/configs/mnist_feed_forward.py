"""MNIST by feed-forward attention, a network that scores query and key over image patches."""

from attn_jax.nn import FeedForwardAttention
from experiments.image import RECIPE, TASK, ImageExperiment, classifier

experiment = ImageExperiment(
    model=classifier(FeedForwardAttention()),
    task=TASK,
    train=RECIPE,
)
