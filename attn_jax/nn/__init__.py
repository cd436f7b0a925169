"""Attention as Flax (Linen) modules, which add parameters and hook points to functions of `ops`.

Each module has the hook points `query`, `key`, `value`, `scores`, `weights` and `context` under its
own path, and sows `weights` into the collection `intermediates` if that is mutable. Axes are named
as in :mod:`attn_jax.ops`.
"""

# Imported for the error that names the extra.
import attn_jax._extras.flax  # noqa: F401
from attn_jax.nn.additive import AdditiveAttention, ConcatAttention, FeedForwardAttention
from attn_jax.nn.attention import Attention, SingleHead, attend_with_taps
from attn_jax.nn.capture import apply_with_weights
from attn_jax.nn.co_attention import CoAttention
from attn_jax.nn.gated import GatedAttention
from attn_jax.nn.gates import CBAM, AttentionGate, ChannelGate, SpatialGate, SqueezeExcitation
from attn_jax.nn.head_mixing import DifferentialAttention, TalkingHeadsAttention
from attn_jax.nn.latent import MultiHeadLatentAttention
from attn_jax.nn.local import LocalMAttention, LocalPAttention
from attn_jax.nn.monotonic import MochaAttention, MonotonicAttention
from attn_jax.nn.multi_head import MultiHead, MultiHeadAttention
from attn_jax.nn.normalizers import Entmax, SoftmaxWithSink
from attn_jax.nn.pooling import AttentionPooling
from attn_jax.nn.positions import QueryKeyNorm, RelativePositionBias, Rotary
from attn_jax.nn.recurrent import GaussianMixtureAttention, LocationSensitiveAttention
from attn_jax.nn.scores import (
    BilinearAttention,
    CosineAttention,
    DotProductAttention,
    LocationAttention,
    ScaledDotProductAttention,
)
from attn_jax.nn.sub_quadratic import (
    LinearAttention,
    LinformerAttention,
    NystromAttention,
    PerformerAttention,
    SubQuadraticAttention,
)
from attn_jax.renames import renamed_names

__all__ = [
    "CBAM",
    "AdditiveAttention",
    "Attention",
    "AttentionGate",
    "AttentionPooling",
    "BilinearAttention",
    "ChannelGate",
    "CoAttention",
    "ConcatAttention",
    "CosineAttention",
    "DifferentialAttention",
    "DotProductAttention",
    "Entmax",
    "FeedForwardAttention",
    "GatedAttention",
    "GaussianMixtureAttention",
    "LinearAttention",
    "LinformerAttention",
    "LocalMAttention",
    "LocalPAttention",
    "LocationAttention",
    "LocationSensitiveAttention",
    "MochaAttention",
    "MonotonicAttention",
    "MultiHead",
    "MultiHeadAttention",
    "MultiHeadLatentAttention",
    "NystromAttention",
    "PerformerAttention",
    "QueryKeyNorm",
    "RelativePositionBias",
    "Rotary",
    "ScaledDotProductAttention",
    "SingleHead",
    "SoftmaxWithSink",
    "SpatialGate",
    "SqueezeExcitation",
    "SubQuadraticAttention",
    "TalkingHeadsAttention",
    "apply_with_weights",
    "attend_with_taps",
]

__getattr__ = renamed_names("attn_jax.nn", {"attend": "attend_with_taps"})
