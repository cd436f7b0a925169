"""The first line of docstrings by the same without copying, to compare."""

from attn_jax.models import Summarizer
from attn_jax.tasks import Summaries
from experiments.summaries.experiment import RECIPE, SummaryBaselineExperiment

experiment = SummaryBaselineExperiment(model=Summarizer(), task=Summaries(hidden=0.0), train=RECIPE)
