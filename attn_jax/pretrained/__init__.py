"""Checkpoints of others as models of this library, with every attention named."""

# Imported for the error that names the extra.
import attn_jax._extras.flax  # noqa: F401
from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.generation.writer import Written
from attn_jax.pretrained.load import load
from attn_jax.pretrained.model import Pretrained
from attn_jax.pretrained.sources import Source, available

__all__ = ["Pretrained", "PretrainedError", "Source", "Written", "available", "load"]
