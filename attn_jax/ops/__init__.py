"""Attention as pure functions on arrays: score, bias and mask, normalise, weigh.

Every family member takes `query`, `key`, `value` and keyword-only parameters, and returns
`(context, weights)`; each stage can be had alone (`<name>_scores`, a normaliser, :func:`weigh`), so
two attentions are compared by swapping a name.

Axes, everywhere:

====== ====================================================
`*b`   any number of batch axes
`q`    queries
`k`    keys, and their values
`h`    heads
`d`    features (`d_q`, `d_k`, `d_v` where they may differ)
`a`    hidden features of a score function
====== ====================================================

Masks are boolean, True = may attend. A query that may attend to nothing gets zero weights, a zero
context and zero gradients; a value that no query may see cannot affect anything, NaN included.
"""

from attn_jax.ops.additive import additive_attention, additive_scores
from attn_jax.ops.attend import attend, weigh
from attn_jax.ops.dot_product import (
    dot_product_attention,
    dot_product_scores,
    scaled_dot_product_attention,
    scaled_dot_product_scores,
)
from attn_jax.ops.feed_forward import feed_forward_attention, feed_forward_scores
from attn_jax.ops.fused import Implementation, attention
from attn_jax.ops.masks import causal_mask, combine_masks, padding_mask, window_mask
from attn_jax.ops.multi_head import multi_head_attention, multi_head_scores, multi_head_weigh
from attn_jax.ops.normalizers import Normalizer, softmax

__all__ = [
    "Implementation",
    "Normalizer",
    "additive_attention",
    "additive_scores",
    "attend",
    "attention",
    "causal_mask",
    "combine_masks",
    "dot_product_attention",
    "dot_product_scores",
    "feed_forward_attention",
    "feed_forward_scores",
    "multi_head_attention",
    "multi_head_scores",
    "multi_head_weigh",
    "padding_mask",
    "scaled_dot_product_attention",
    "scaled_dot_product_scores",
    "softmax",
    "weigh",
    "window_mask",
]
