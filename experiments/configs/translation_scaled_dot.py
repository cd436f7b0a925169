"""Dates, or other pairs, translated by scaled dot products (Vaswani 2017) in Luong's decoder.

Asked before the step, as in Bahdanau's decoder, they translate as well and are misaligned for two
seeds of three: a step may keep what it saw for the next.
"""

from attn_jax.models import LuongDecoder, RecurrentTranslator
from attn_jax.nn import ScaledDotProductAttention
from attn_jax.tasks import Translation
from experiments.translation.experiment import TranslationExperiment
from experiments.translation.recipes import RECIPE

experiment = TranslationExperiment(
    model=RecurrentTranslator(decoder=LuongDecoder(attention=ScaledDotProductAttention())),
    task=Translation(),
    train=RECIPE,
)
