"""MNIST by feed-forward attention, a network that scores query and key over image patches."""

from attn_jax.models import ImageClassifier
from attn_jax.nn import FeedForwardAttention
from attn_jax.tasks import Mnist
from experiments.image import RECIPE, ImageExperiment

experiment = ImageExperiment(
    model=ImageClassifier(attention=FeedForwardAttention()),
    task=Mnist(),
    train=RECIPE,
)
