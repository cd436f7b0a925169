"""Dates, or other pairs, translated by attention scored by a feed-forward network."""

from attn_jax.models import BahdanauDecoder, RecurrentTranslator
from attn_jax.nn import FeedForwardAttention
from attn_jax.tasks import Translation
from experiments.translation.experiment import TranslationExperiment
from experiments.translation.recipes import RECIPE

experiment = TranslationExperiment(
    model=RecurrentTranslator(decoder=BahdanauDecoder(attention=FeedForwardAttention())),
    task=Translation(),
    train=RECIPE,
)
