"""Attention as Flax (Linen) modules: parameters, the functions of `ops`, hook points.

Each module has the hook points `query`, `key`, `value`, `scores`, `weights` and `context` under its
own path, and sows `weights` into the collection `intermediates` when that is mutable.
"""

from attn_jax.nn.attention import Attention, attend
from attn_jax.nn.capture import apply_with_weights
from attn_jax.nn.multi_head import MultiHeadAttention
from attn_jax.nn.pooling import AttentionPooling
from attn_jax.nn.scores import (
    AdditiveAttention,
    DotProductAttention,
    FeedForwardAttention,
    ScaledDotProductAttention,
)

__all__ = [
    "AdditiveAttention",
    "Attention",
    "AttentionPooling",
    "DotProductAttention",
    "FeedForwardAttention",
    "MultiHeadAttention",
    "ScaledDotProductAttention",
    "apply_with_weights",
    "attend",
]
