"""Dates, or other pairs, translated by scaled dot products (Vaswani 2017) in Luong's decoder.

If attention comes before the step, as in Bahdanau's decoder, translations are as good, but two of
three seeds are misaligned: a step can keep what it read for the next one.
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
