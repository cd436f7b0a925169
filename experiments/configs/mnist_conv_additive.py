"""MNIST by additive attention (Bahdanau 2015) over convolutional feature maps."""

import dataclasses

from attn_jax.models import ConvStem, ImageClassifier
from attn_jax.nn import AdditiveAttention
from attn_jax.tasks import Mnist
from experiments.image import RECIPE, ImageExperiment

experiment = ImageExperiment(
    model=ImageClassifier(stem=ConvStem(), attention=AdditiveAttention()),
    task=Mnist(),
    # XLA runs convolutions inside a loop several times slower on CPUs.
    train=dataclasses.replace(RECIPE, steps_per_call=1),
)
