"""Dates, or other pairs, translated by dot products and input feeding (Luong 2015).

The keys are projected, which makes it Luong's *general* score. For *dot*, add
`--model.decoder.no-project-key --model.encoder.features 64`.
"""

import dataclasses

from attn_jax.models import LuongDecoder, RecurrentTranslator
from attn_jax.nn import DotProductAttention
from attn_jax.tasks import Translation
from experiments.translation.experiment import TranslationExperiment
from experiments.translation.recipes import RECIPE, RECIPES, Recipe

experiment = TranslationExperiment(
    model=RecurrentTranslator(decoder=LuongDecoder(attention=DotProductAttention())),
    task=Translation(),
    # At the learning rate of the others, fewer sentences were exact, on three more seeds too.
    train=dataclasses.replace(RECIPE, learning_rate=2e-3),
    recipes=RECIPES | {"grammar": Recipe(epochs=8)},
)
