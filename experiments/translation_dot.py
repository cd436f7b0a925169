"""Dates of many languages into one form, or other pairs, by dot-product attention (Luong 2015) and input feeding."""

from attn_jax.models import LuongDecoder, RecurrentTranslator
from attn_jax.nn import DotProductAttention
from attn_jax.tasks import Translation
from experiments.translation import RECIPE, TranslationExperiment

experiment = TranslationExperiment(
    model=RecurrentTranslator(decoder=LuongDecoder(attention=DotProductAttention())),
    task=Translation(),
    train=RECIPE,
)
