"""The first line of docstrings from the rest, by a pointer-generator with coverage (See 2017)."""

from attn_jax.models import PointerGenerator
from attn_jax.tasks import Summaries
from experiments.summaries.experiment import RECIPE, SummaryExperiment

experiment = SummaryExperiment(model=PointerGenerator(), task=Summaries(), train=RECIPE)
