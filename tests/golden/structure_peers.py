"""The answers of `transformers`, from the code of models that use the mechanism, and of PyTorch."""

import types

import torch
from transformers import DiffLlamaConfig, LlamaConfig, NystromformerConfig
from transformers.masking_utils import sliding_window_causal_mask_function
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.diffllama.modeling_diffllama import DiffLlamaAttention
from transformers.models.gemma2 import modeling_gemma2 as gemma2
from transformers.models.gpt_oss import modeling_gpt_oss as gpt_oss
from transformers.models.gptj import modeling_gptj as gptj
from transformers.models.llama import modeling_llama as llama
from transformers.models.nystromformer.modeling_nystromformer import NystromformerSelfAttention
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm
from transformers.models.t5.modeling_t5 import T5Attention


def rotary(x, positions, base):
    config = LlamaConfig(
        head_dim=x.shape[-1], rope_parameters={"rope_type": "default", "rope_theta": base}
    )
    cos, sin = llama.LlamaRotaryEmbedding(config)(x, positions.long())
    return llama.apply_rotary_pos_emb(x, x, cos, sin, unsqueeze_dim=2)[0]


def rotary_pairs(x, positions):
    table = gptj.create_sinusoidal_positions(int(positions.max()) + 1, x.shape[-1])
    sin, cos = torch.split(table[positions.long()], x.shape[-1] // 2, dim=-1)
    return gptj.apply_rotary_pos_emb(x, sin, cos)


def t5_relative_bias(table, num_queries, num_keys, max_distance, causal):
    module = types.SimpleNamespace(
        is_decoder=causal,
        relative_attention_num_buckets=table.shape[0],
        relative_attention_max_distance=max_distance,
        relative_attention_bias=lambda buckets: torch.nn.functional.embedding(buckets, table),
        _relative_position_bucket=T5Attention._relative_position_bucket,
    )
    return T5Attention.compute_bias(module, num_queries, num_keys, device="cpu")[0]


def causal_bias(query, key, window=None):
    """Zero and a very low number, `(1, 1, q, k)`; the queries are the last of the keys' tokens."""
    queries, keys = query.shape[1], key.shape[1]
    place, at = torch.arange(queries)[:, None] + keys - queries, torch.arange(keys)[None, :]
    sees = (
        at <= place
        if window is None
        else sliding_window_causal_mask_function(window)(0, 0, place, at)
    )
    return torch.where(sees, 0.0, torch.finfo(torch.float32).min)[None, None]


def eager(model, query, key, value, bias, scale=None, sinks=None, **options):
    module = types.SimpleNamespace(
        num_key_value_groups=query.shape[2] // key.shape[2],
        training=False,
        sinks=sinks,
    )
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    arrays = (x.transpose(1, 2) for x in (query, key, value))
    return model.eager_attention_forward(module, *arrays, bias, scaling=scale, **options)[0]


def alibi(query, key, value):
    batch, tokens, heads, _ = query.shape
    slopes = build_alibi_tensor(torch.ones(batch, tokens), heads, torch.float32)
    bias = slopes.reshape(batch, heads, 1, tokens) + causal_bias(query, key)
    return eager(llama, query, key, value, bias)


def grouped_query(query, key, value):
    return eager(llama, query, key, value, causal_bias(query, key))


def softcap(query, key, value, softcap, scale):
    return eager(gemma2, query, key, value, causal_bias(query, key), scale, softcap=softcap)


def sinks(query, key, value, sinks):
    return eager(gpt_oss, query, key, value, causal_bias(query, key), sinks=sinks)


def window(query, key, value, window):
    return eager(llama, query, key, value, causal_bias(query, key, window))


def query_key_norm(query, key, value, query_scale, key_scale):
    norm = Qwen3RMSNorm(query.shape[-1])
    query, key = (
        torch.func.functional_call(norm, {"weight": scale}, (x,))
        for x, scale in ((query, query_scale), (key, key_scale))
    )
    return grouped_query(query, key, value)


def differential(query, key, value, lq_1, lk_1, lq_2, lk_2, initial):
    """DiffLlama keeps the first maps of all heads before the second ones."""
    batch, tokens, heads, dim = query.shape
    key_heads = key.shape[2]
    config = DiffLlamaConfig(
        hidden_size=heads * dim,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        head_dim=dim,
        attn_implementation="eager",
    )
    module = DiffLlamaAttention(config, layer_idx=0).eval()
    module.lambda_init = initial
    apart = [x.unflatten(2, (-1, 2)).transpose(2, 3).flatten(2, 3) for x in (query, key)]
    halves = torch.cat(value.split(dim, dim=-1), dim=2)
    projected = iter([*apart, halves])
    # The attention alone: what it projects is given, what it normalises is left as it is.
    for name in ("q_proj", "k_proj", "v_proj"):
        setattr(module, name, Given(next(projected).flatten(2)))
    module.groupnorm = torch.nn.Identity()
    module.o_proj = torch.nn.Identity()
    for name, vector in zip(("q1", "k1", "q2", "k2"), (lq_1, lk_1, lq_2, lk_2), strict=True):
        delattr(module, f"lambda_{name}")
        setattr(module, f"lambda_{name}", vector)
    still = torch.ones(batch, tokens, dim), torch.zeros(batch, tokens, dim)
    hidden = torch.zeros(batch, tokens, heads * dim)
    out, _ = module(hidden, still, causal_bias(query, key))
    return (out / (1 - initial)).reshape(batch, tokens, heads // 2, 2 * dim)


class Given(torch.nn.Module):
    """A projection that returns what it was made with."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, _):
        return self.output


def nystrom(query, key, value, num_landmarks):
    tokens, dim = query.shape
    config = NystromformerConfig(
        hidden_size=dim,
        num_attention_heads=1,
        num_landmarks=num_landmarks,
        segment_means_seq_len=tokens,
    )
    module = NystromformerSelfAttention(config).eval()
    module.conv_kernel_size = None
    module.query, module.key, module.value = (Given(x[None]) for x in (query, key, value))
    return module(query[None])[0][0]


def streamed(query, key, value, mask=None, bias=None, causal=False, scale=None):
    """Of PyTorch itself, in float64."""
    if mask is not None:
        bias = torch.where(mask, bias.double(), -torch.inf)
    arrays = (x.double().transpose(1, 2) for x in (query, key, value))
    context = torch.nn.functional.scaled_dot_product_attention(
        *arrays, attn_mask=bias, is_causal=causal, scale=scale, enable_gqa=True
    )
    return context.transpose(1, 2).float()


PEERS = {
    "rotary": rotary,
    "rotary_pairs": rotary_pairs,
    "t5_relative_bias": t5_relative_bias,
    "alibi": alibi,
    "grouped_query": grouped_query,
    "softcap": softcap,
    "sinks": sinks,
    "window": window,
    "query_key_norm": query_key_norm,
    "differential": differential,
    "nystrom": nystrom,
    "streamed": streamed,
    "streamed_masked": streamed,
}
