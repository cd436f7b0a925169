"""Spoken digits in noise, by connectionist temporal classification (Graves 2006)."""

from attn_jax.models import CtcRecognizer
from attn_jax.tasks import Speech
from experiments.speech.ctc import CtcExperiment
from experiments.speech.experiment import RECIPE

experiment = CtcExperiment(model=CtcRecognizer(), task=Speech(), train=RECIPE)
"""The recipe; `--task.symbols letters` adds the letters."""
