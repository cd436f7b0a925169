"""MNIST by additive attention (Bahdanau 2015) over convolutional feature maps."""

import dataclasses

from attn_jax.models import ConvStem
from attn_jax.nn import AdditiveAttention
from experiments.image import RECIPE, TASK, ImageExperiment, classifier

experiment = ImageExperiment(
    model=classifier(AdditiveAttention(), stem=ConvStem()),
    task=TASK,
    # XLA runs convolutions inside a loop several times slower on CPUs.
    train=dataclasses.replace(RECIPE, steps_per_call=1),
)
