"""The same without attention, by one vector of the source (Cho 2014), to compare."""

from attn_jax.models import FixedVectorTranslator
from attn_jax.tasks import Translation
from experiments.translation.recipes import RECIPE
from experiments.translation.without_attention import PlainTranslationExperiment

experiment = PlainTranslationExperiment(
    model=FixedVectorTranslator(), task=Translation(), train=RECIPE
)
