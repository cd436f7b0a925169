"""Whole networks made of `attn_jax.nn` modules."""

from attn_jax.models.bags import BagClassifier
from attn_jax.models.image import ConvStem, ImageClassifier, PatchStem, RowStem
from attn_jax.models.retrieval import Retriever

__all__ = ["BagClassifier", "ConvStem", "ImageClassifier", "PatchStem", "Retriever", "RowStem"]
