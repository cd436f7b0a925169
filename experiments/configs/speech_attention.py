"""Spoken digits in noise, by location-sensitive attention (Chorowski 2015)."""

from attn_jax.models import SpeechRecognizer
from attn_jax.tasks import Speech
from experiments.speech.attention import AttentionExperiment
from experiments.speech.experiment import RECIPE

experiment = AttentionExperiment(model=SpeechRecognizer(), task=Speech(), train=RECIPE)
"""The recipe; `--task.symbols letters` adds the letters."""
