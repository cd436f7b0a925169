"""Whole networks made of `attn_jax.nn` modules."""

from attn_jax.models.image import ConvStem, ImageClassifier, PatchStem, RowStem

__all__ = ["ConvStem", "ImageClassifier", "PatchStem", "RowStem"]
