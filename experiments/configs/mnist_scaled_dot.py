"""MNIST by scaled dot-product attention (Vaswani 2017) over image patches."""

from attn_jax.models import ImageClassifier
from attn_jax.nn import ScaledDotProductAttention
from attn_jax.tasks import Mnist
from experiments.image import RECIPE, ImageExperiment

experiment = ImageExperiment(
    model=ImageClassifier(attention=ScaledDotProductAttention()),
    task=Mnist(),
    train=RECIPE,
)
