"""MNIST by gated attention (Qiu 2025), four heads over image patches, each with an output gate."""

from attn_jax.models import ImageClassifier
from attn_jax.nn import GatedAttention
from attn_jax.tasks import Mnist
from experiments.image import RECIPE, ImageExperiment

experiment = ImageExperiment(
    model=ImageClassifier(attention=GatedAttention()),
    task=Mnist(),
    train=RECIPE,
)
