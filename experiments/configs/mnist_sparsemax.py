"""MNIST by additive attention with sparsemax's exact zeros (Martins 2016) over image patches."""

from attn_jax.models import ImageClassifier
from attn_jax.nn import AdditiveAttention
from attn_jax.ops import sparsemax
from attn_jax.tasks import Mnist
from experiments.image import RECIPE, ImageExperiment

experiment = ImageExperiment(
    model=ImageClassifier(attention=AdditiveAttention(normalizer=sparsemax)),
    task=Mnist(),
    train=RECIPE,
)
