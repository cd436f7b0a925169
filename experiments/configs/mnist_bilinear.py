"""MNIST by bilinear attention, the "general" score (Luong 2015) over image patches."""

from attn_jax.models import ImageClassifier
from attn_jax.nn import BilinearAttention
from attn_jax.tasks import Mnist
from experiments.image import RECIPE, ImageExperiment

experiment = ImageExperiment(
    model=ImageClassifier(attention=BilinearAttention()),
    task=Mnist(),
    train=RECIPE,
)
