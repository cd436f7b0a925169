"""Texts whose class hangs on a few known words among distractors."""

from attn_jax.tasks.planted_evidence.task import PlantedEvidence

__all__ = ["PlantedEvidence"]
