"""MNIST by additive attention with 1.5-entmax's exact zeros (Peters 2019) over image patches."""

from attn_jax.models import ImageClassifier
from attn_jax.nn import AdditiveAttention
from attn_jax.ops import entmax15
from attn_jax.tasks import Mnist
from experiments.image import RECIPE, ImageExperiment

experiment = ImageExperiment(
    model=ImageClassifier(attention=AdditiveAttention(normalizer=entmax15)),
    task=Mnist(),
    train=RECIPE,
)
