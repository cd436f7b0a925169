"""Dates, or other pairs, translated by scaled dot products before each step."""

from attn_jax.models import BahdanauDecoder, RecurrentTranslator
from attn_jax.nn import ScaledDotProductAttention
from attn_jax.tasks import Translation
from experiments.translation import RECIPE, TranslationExperiment

experiment = TranslationExperiment(
    model=RecurrentTranslator(decoder=BahdanauDecoder(attention=ScaledDotProductAttention())),
    task=Translation(),
    train=RECIPE,
)
