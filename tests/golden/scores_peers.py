"""The answers of PyTorch, Keras (on PyTorch) and the package `entmax`."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import entmax as entmax_package
import keras
import torch
from torch.nn import functional


def sparsemax(scores):
    return entmax_package.sparsemax(scores, dim=-1)


def entmax15(scores):
    return entmax_package.entmax15(scores, dim=-1)


def entmax(scores, alpha):
    return entmax_package.entmax_bisect(scores, alpha, dim=-1, n_iter=60)


def of_keras(layer, query, key, value, mask, parameters):
    """Keras's layer with parameters of ours in place of its own."""
    layer.build([x.shape for x in (query, value, key)])
    layer.build = lambda shapes: None
    scores = layer._calculate_scores
    held = {name: getattr(layer, name) for name in parameters}

    def given(query, key):
        for name, parameter in parameters.items():
            object.__setattr__(layer, name, parameter)
        out = scores(query, key)
        for name, own in held.items():
            object.__setattr__(layer, name, own)
        return out

    object.__setattr__(layer, "_calculate_scores", given)
    return layer([query, value, key], mask=[None, mask[:, 0]])


def additive(query, key, value, mask, v):
    layer = keras.layers.AdditiveAttention()
    return of_keras(layer, query, key, value, mask, {"scale": v})


def dot(query, key, value, mask):
    return of_keras(keras.layers.Attention(), query, key, value, mask, {})


def concat(query, key, value, mask, v):
    """PyTorch's own words for Luong's score: there is no layer with a vector to weigh by."""
    pairs = query[:, :, None], key[:, None]
    pairs = torch.broadcast_tensors(*pairs)
    w = torch.cat([torch.eye(v.shape[0])] * 2, dim=1)
    hidden = torch.tanh(functional.linear(torch.cat(pairs, dim=-1), w))
    scores = functional.linear(hidden, v[None])[..., 0].masked_fill(~mask, -torch.inf)
    return functional.softmax(scores, dim=-1) @ value


def scaled_dot(query, key, value, mask, bias):
    added = bias.masked_fill(~mask, -torch.inf)
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=added)


def fused(query, key, value, mask):
    arrays = (x.transpose(1, 2) for x in (query, key, value))
    out = functional.scaled_dot_product_attention(*arrays, attn_mask=mask, enable_gqa=True)
    return out.transpose(1, 2)


def multi_head(query, key, value, w_query, w_key, w_value, w_out, mask):
    width, heads = query.shape[-1], w_query.shape[1]
    out, _ = functional.multi_head_attention_forward(
        *(x.transpose(0, 1) for x in (query, key, value)),
        embed_dim_to_check=width,
        num_heads=heads,
        in_proj_weight=None,
        in_proj_bias=None,
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=w_out.flatten(0, 1).T,
        out_proj_bias=None,
        attn_mask=~mask.flatten(0, 1),
        use_separate_proj_weight=True,
        q_proj_weight=w_query.flatten(1).T,
        k_proj_weight=w_key.flatten(1).T,
        v_proj_weight=w_value.flatten(1).T,
    )
    return out.transpose(0, 1)


def cosine(query, key, temperature):
    return functional.cosine_similarity(query[:, :, None], key[:, None], dim=-1) / temperature


def bilinear(query, key, w):
    pairs = torch.broadcast_tensors(query[:, :, None], key[:, None, :, :1])[0].contiguous()
    others = key[:, None].expand(-1, query.shape[1], -1, -1).contiguous()
    return functional.bilinear(pairs, others, w[None])[..., 0]


PEERS = {
    "sparsemax": sparsemax,
    "entmax15": entmax15,
    "entmax": entmax,
    "additive": additive,
    "concat": concat,
    "dot": dot,
    "scaled_dot": scaled_dot,
    "fused": fused,
    "multi_head": multi_head,
    "cosine": cosine,
    "bilinear": bilinear,
}
