"""Attention as pure functions on arrays: score, add bias and mask, normalize, weigh.

An attention takes `query`, `key`, `value` and keyword-only parameters, and returns
`(context, weights)`; those that never build the weights return the context alone. Each stage is a
function too (`<name>_scores`, a normalizer, :func:`weigh`), so that one name is all that differs
between two attentions.

The axes of all arrays:

====== ====================================================
`*b`   any number of batch axes
`q`    queries
`k`    keys, and their values
`h`    heads
`d`    features (`d_q`, `d_k`, `d_v` where they may differ)
`a`    hidden features of a score function
====== ====================================================

Masks are boolean: True = may attend. A query that may attend to nothing gets zero weights, a zero
context and zero gradients. A value to which no query may attend has no effect, even if it is NaN.
"""

from attn_jax.ops.alignment.gaussian_mixture import (
    GaussianMixture,
    gaussian_mixture,
    gaussian_mixture_attention,
    gaussian_mixture_scores,
)
from attn_jax.ops.alignment.local import local_m_attention, local_p_attention, predicted_position
from attn_jax.ops.alignment.location_sensitive import (
    location_features,
    location_sensitive_attention,
    location_sensitive_scores,
)
from attn_jax.ops.alignment.mocha import chunkwise_weights, mocha_attention
from attn_jax.ops.alignment.monotonic import (
    hard_monotonic,
    monotonic_attention,
    monotonic_scores,
    soft_monotonic,
)
from attn_jax.ops.fused.attention import Implementation, attention
from attn_jax.ops.fused.attention_fn import attention_fn
from attn_jax.ops.gates.attention_gate import attention_gate
from attn_jax.ops.gates.cbam import channel_gate, spatial_gate
from attn_jax.ops.gates.squeeze_excitation import squeeze_excitation
from attn_jax.ops.heads.differential import (
    differential_attention,
    differential_lambda,
    differential_scores,
    differential_weights,
    repeat_pairs,
)
from attn_jax.ops.heads.latent import absorbed_queries, latent_attention, latent_keys
from attn_jax.ops.heads.multi_head import (
    multi_head_attention,
    multi_head_scores,
    multi_head_weigh,
    share_heads,
)
from attn_jax.ops.heads.output_gate import output_gate
from attn_jax.ops.heads.query_key_norm import query_key_norm, rms_normalize
from attn_jax.ops.heads.talking_heads import (
    mix_heads,
    talking_heads_attention,
    talking_heads_scores,
)
from attn_jax.ops.masks import causal_mask, combine_masks, padding_mask, window_mask
from attn_jax.ops.normalizers.entmax import entmax, entmax15, sparsemax
from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.normalizers.temperature import top_k_softmax, with_temperature
from attn_jax.ops.normalizers.unnormalized import exponential, sigmoid, softmax_with_sink
from attn_jax.ops.positions.alibi import alibi_bias, alibi_slopes
from attn_jax.ops.positions.relative_bias import t5_buckets, t5_relative_bias
from attn_jax.ops.positions.rotary import rotary, rotary_frequencies, rotary_pairs
from attn_jax.ops.reference.rows import attention_rows, attention_tile
from attn_jax.ops.scores.additive import additive_attention, additive_scores
from attn_jax.ops.scores.bilinear import bilinear_attention, bilinear_scores
from attn_jax.ops.scores.co_attention import (
    co_attention,
    co_attention_scores,
    co_attention_weights,
    prepare_pair,
)
from attn_jax.ops.scores.concat import concat_attention, concat_scores
from attn_jax.ops.scores.cosine import cosine_attention, cosine_scores
from attn_jax.ops.scores.dot_product import (
    dot_product_attention,
    dot_product_scores,
    scaled_dot_product_attention,
    scaled_dot_product_scores,
)
from attn_jax.ops.scores.feed_forward import feed_forward_attention, feed_forward_scores
from attn_jax.ops.scores.location import location_attention, location_scores
from attn_jax.ops.sparse_masks import block_sparse_mask, dilated_mask, prefix_mask
from attn_jax.ops.stages import Inputs, add_bias, attend, prepare, prepare_heads, weigh
from attn_jax.ops.streaming.attention import streaming_attention
from attn_jax.ops.streaming.summary import AttentionSummary, Summary
from attn_jax.ops.sub_quadratic.linear import elu_plus_one, linear_attention, linear_weights
from attn_jax.ops.sub_quadratic.linformer import linformer_attention, linformer_weights
from attn_jax.ops.sub_quadratic.nystrom import nystrom_attention, nystrom_weights
from attn_jax.ops.sub_quadratic.performer import (
    performer_attention,
    performer_projection,
    performer_weights,
)

__all__ = [
    "AttentionSummary",
    "GaussianMixture",
    "Implementation",
    "Inputs",
    "Normalizer",
    "Summary",
    "absorbed_queries",
    "add_bias",
    "additive_attention",
    "additive_scores",
    "alibi_bias",
    "alibi_slopes",
    "attend",
    "attention",
    "attention_fn",
    "attention_gate",
    "attention_rows",
    "attention_tile",
    "bilinear_attention",
    "bilinear_scores",
    "block_sparse_mask",
    "causal_mask",
    "channel_gate",
    "chunkwise_weights",
    "co_attention",
    "co_attention_scores",
    "co_attention_weights",
    "combine_masks",
    "concat_attention",
    "concat_scores",
    "cosine_attention",
    "cosine_scores",
    "differential_attention",
    "differential_lambda",
    "differential_scores",
    "differential_weights",
    "dilated_mask",
    "dot_product_attention",
    "dot_product_scores",
    "elu_plus_one",
    "entmax",
    "entmax15",
    "exponential",
    "feed_forward_attention",
    "feed_forward_scores",
    "gaussian_mixture",
    "gaussian_mixture_attention",
    "gaussian_mixture_scores",
    "hard_monotonic",
    "latent_attention",
    "latent_keys",
    "linear_attention",
    "linear_weights",
    "linformer_attention",
    "linformer_weights",
    "local_m_attention",
    "local_p_attention",
    "location_attention",
    "location_features",
    "location_scores",
    "location_sensitive_attention",
    "location_sensitive_scores",
    "mix_heads",
    "mocha_attention",
    "monotonic_attention",
    "monotonic_scores",
    "multi_head_attention",
    "multi_head_scores",
    "multi_head_weigh",
    "nystrom_attention",
    "nystrom_weights",
    "output_gate",
    "padding_mask",
    "performer_attention",
    "performer_projection",
    "performer_weights",
    "predicted_position",
    "prefix_mask",
    "prepare",
    "prepare_heads",
    "prepare_pair",
    "query_key_norm",
    "repeat_pairs",
    "rms_normalize",
    "rotary",
    "rotary_frequencies",
    "rotary_pairs",
    "scaled_dot_product_attention",
    "scaled_dot_product_scores",
    "share_heads",
    "sigmoid",
    "soft_monotonic",
    "softmax",
    "softmax_with_sink",
    "sparsemax",
    "spatial_gate",
    "squeeze_excitation",
    "streaming_attention",
    "t5_buckets",
    "t5_relative_bias",
    "talking_heads_attention",
    "talking_heads_scores",
    "top_k_softmax",
    "weigh",
    "window_mask",
    "with_temperature",
]
