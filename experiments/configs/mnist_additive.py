"""MNIST by additive attention (Bahdanau 2015) over image patches."""

from attn_jax.models import ImageClassifier
from attn_jax.nn import AdditiveAttention
from attn_jax.tasks import Mnist
from experiments.image import RECIPE, ImageExperiment

experiment = ImageExperiment(
    model=ImageClassifier(attention=AdditiveAttention()),
    task=Mnist(),
    train=RECIPE,
)
