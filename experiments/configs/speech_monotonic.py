"""Spoken digits in noise, by monotonic chunkwise attention (Chiu and Raffel 2018)."""

from attn_jax.models import ChunkwiseRecognizer
from attn_jax.tasks import Speech
from experiments.speech.chunkwise import ChunkwiseExperiment
from experiments.speech.experiment import RECIPE

experiment = ChunkwiseExperiment(model=ChunkwiseRecognizer(), task=Speech(), train=RECIPE)
"""The recipe; `--task.symbols letters` adds the letters."""
