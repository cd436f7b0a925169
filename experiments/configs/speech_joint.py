"""Spoken digits in noise, by location-sensitive attention trained together with CTC (Kim 2017)."""

from attn_jax.models import JointRecognizer
from attn_jax.tasks import Speech
from experiments.speech.experiment import RECIPE
from experiments.speech.joint import JointExperiment

experiment = JointExperiment(model=JointRecognizer(), task=Speech(), train=RECIPE)
"""The recipe; `--task.symbols letters` adds the letters."""
