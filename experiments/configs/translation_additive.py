"""Dates, or other pairs, translated by additive attention (Bahdanau 2015)."""

from attn_jax.models import BahdanauDecoder, RecurrentTranslator
from attn_jax.nn import AdditiveAttention
from attn_jax.tasks import Translation
from experiments.translation.experiment import TranslationExperiment
from experiments.translation.recipes import RECIPE

experiment = TranslationExperiment(
    model=RecurrentTranslator(
        decoder=BahdanauDecoder(attention=AdditiveAttention(project_key=False))
    ),
    task=Translation(),
    train=RECIPE,
)
