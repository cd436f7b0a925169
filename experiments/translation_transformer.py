"""Dates, or other pairs, translated by a Transformer (Vaswani 2017)."""

import dataclasses

from attn_jax.models import TransformerTranslator
from attn_jax.tasks import Translation
from experiments.translation import RECIPE, TranslationExperiment

experiment = TranslationExperiment(
    model=TransformerTranslator(),
    task=Translation(),
    train=dataclasses.replace(RECIPE, learning_rate=1e-3, epochs=12, warmup=0.1),
)
