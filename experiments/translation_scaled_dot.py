"""Dates of many languages into one form, or other pairs, by scaled dot-product attention before each step."""

from attn_jax.models import BahdanauDecoder, RecurrentTranslator
from attn_jax.nn import ScaledDotProductAttention
from attn_jax.tasks import Translation
from experiments.translation import RECIPE, TranslationExperiment

experiment = TranslationExperiment(
    model=RecurrentTranslator(decoder=BahdanauDecoder(attention=ScaledDotProductAttention())),
    task=Translation(),
    train=RECIPE,
)
