"""MNIST by dot-product attention (Luong 2015) over image patches."""

from attn_jax.models import ImageClassifier
from attn_jax.nn import DotProductAttention
from attn_jax.tasks import Mnist
from experiments.image import RECIPE, ImageExperiment

experiment = ImageExperiment(
    model=ImageClassifier(attention=DotProductAttention()),
    task=Mnist(),
    train=RECIPE,
)
