"""MNIST by cosine attention with a learned temperature (Graves 2014) over image patches."""

from attn_jax.models import ImageClassifier
from attn_jax.nn import CosineAttention
from attn_jax.tasks import Mnist
from experiments.image import RECIPE, ImageExperiment

experiment = ImageExperiment(
    model=ImageClassifier(attention=CosineAttention()),
    task=Mnist(),
    train=RECIPE,
)
