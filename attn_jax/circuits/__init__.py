"""What is done with a model to understand it: ablation, patching, lenses, circuits.

Functions with hook points in, arrays out. Every function here takes any function whose values have
hook points: a module of this library, a checkpoint of `attn_jax.pretrained`, or another model given
hook points by :func:`attn_jax.hooks.tap_attention`.
"""

from attn_jax.circuits.ablation import ablate_heads
from attn_jax.circuits.attribution import attribution_patching
from attn_jax.circuits.edges import EdgeScores, edge_attribution
from attn_jax.circuits.edits import attention_knockout, steer
from attn_jax.circuits.metrics import kl, logit_difference, probability
from attn_jax.circuits.patching import activation_patching
from attn_jax.circuits.paths import path_patching
from attn_jax.circuits.scores import Scores

__all__ = [
    "EdgeScores",
    "Scores",
    "ablate_heads",
    "activation_patching",
    "attention_knockout",
    "attribution_patching",
    "edge_attribution",
    "kl",
    "logit_difference",
    "path_patching",
    "probability",
    "steer",
]
