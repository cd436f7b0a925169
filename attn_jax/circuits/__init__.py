"""What is done with a model to understand it: ablation, patching, lenses, circuits.

Functions with hook points in, arrays out. Every function here takes any function whose values have
hook points: a module of this library, a checkpoint of `attn_jax.pretrained`, or another model given
hook points by :func:`attn_jax.hooks.tap_attention`.
"""

from attn_jax.circuits.ablation import ablate_heads
from attn_jax.circuits.attribution import attribution_patching
from attn_jax.circuits.direct import DirectAttribution, direct_logit_attribution
from attn_jax.circuits.edges import EdgeScores, edge_attribution
from attn_jax.circuits.edits import attention_knockout, steer
from attn_jax.circuits.head_loadings import head_loadings
from attn_jax.circuits.head_scores import head_scores
from attn_jax.circuits.lenses import TunedLens, logit_lens, tuned_lens
from attn_jax.circuits.metrics import kl, logit_difference, probability
from attn_jax.circuits.patching import activation_patching
from attn_jax.circuits.paths import path_patching
from attn_jax.circuits.prompts import Needles, needle_tokens, repeated_tokens
from attn_jax.circuits.qk_attribution import QKAttribution, qk_attribution
from attn_jax.circuits.recorded import Recording, load
from attn_jax.circuits.recording import record
from attn_jax.circuits.scores import Scores
from attn_jax.circuits.weights import (
    FactoredMatrix,
    composition_scores,
    copying_score,
    ov_circuit,
    qk_circuit,
)

__all__ = [
    "DirectAttribution",
    "EdgeScores",
    "FactoredMatrix",
    "Needles",
    "QKAttribution",
    "Recording",
    "Scores",
    "TunedLens",
    "ablate_heads",
    "activation_patching",
    "attention_knockout",
    "attribution_patching",
    "composition_scores",
    "copying_score",
    "direct_logit_attribution",
    "edge_attribution",
    "head_loadings",
    "head_scores",
    "kl",
    "load",
    "logit_difference",
    "logit_lens",
    "needle_tokens",
    "ov_circuit",
    "path_patching",
    "probability",
    "qk_attribution",
    "qk_circuit",
    "record",
    "repeated_tokens",
    "steer",
    "tuned_lens",
]
