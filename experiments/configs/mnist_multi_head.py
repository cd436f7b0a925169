"""MNIST by multi-head attention, four heads (Vaswani 2017) over image patches."""

from attn_jax.models import ImageClassifier
from attn_jax.nn import MultiHeadAttention
from attn_jax.tasks import Mnist
from experiments.image import RECIPE, ImageExperiment

experiment = ImageExperiment(
    model=ImageClassifier(attention=MultiHeadAttention()),
    task=Mnist(),
    train=RECIPE,
)
