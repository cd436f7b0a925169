"""Families of transformers in tiny configurations, and where their attention is."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import torch
import transformers

HEADS, HEAD_DIM, WIDTH = 4, 8, 32
SPECIAL = {"pad_token_id": 90, "bos_token_id": 91, "eos_token_id": 92}
TEXT = {
    "vocab_size": 97,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "intermediate_size": 56,
    **SPECIAL,
}
GROUPED = {**TEXT, "num_key_value_heads": 2}
GROUPED_8 = {**GROUPED, "head_dim": HEAD_DIM}
GPT = {
    "vocab_size": 97,
    "n_embd": WIDTH,
    "n_layer": 2,
    "n_head": HEADS,
    "n_positions": 32,
    **SPECIAL,
}
VISION = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "intermediate_size": 56,
    "image_size": 24,
    "patch_size": 8,
}
SEQ2SEQ = {
    "vocab_size": 97,
    "d_model": WIDTH,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "encoder_ffn_dim": 56,
    "decoder_ffn_dim": 56,
    "decoder_start_token_id": 91,
    **SPECIAL,
}

Inputs = dict[str, np.ndarray]


def tokens(rng) -> Inputs:
    """Return two sequences."""
    return {"input_ids": rng.integers(0, 90, (2, 7))}


def padded(rng) -> Inputs:
    """Return two sequences, the second of five tokens."""
    mask = np.array([[1] * 7, [1] * 5 + [0] * 2])
    return {**tokens(rng), "attention_mask": mask}


def pairs(rng) -> Inputs:
    """Return sources, of seven and five tokens, and targets."""
    return {**padded(rng), "decoder_input_ids": rng.integers(0, 90, (2, 5))}


def images(rng) -> Inputs:
    """Return two images."""
    return {"pixel_values": rng.normal(size=(2, 3, 24, 24)).astype(np.float32)}


def captioned(rng) -> Inputs:
    """Return two images and two texts."""
    return {**images(rng), **padded(rng)}


def spectrograms(rng) -> Inputs:
    """Return two spectrograms and the texts that they become."""
    features = rng.normal(size=(2, 16, 26)).astype(np.float32)
    return {"input_features": features, "decoder_input_ids": rng.integers(0, 90, (2, 5))}


def sounds(rng) -> Inputs:
    """Return two sounds."""
    return {"input_values": rng.normal(size=(2, 400)).astype(np.float32)}


@dataclasses.dataclass(frozen=True)
class Family:
    """A family of models.

    Attributes:
        peer: The class of the model.
        config: Its configuration.
        inputs: Makes inputs at random.
        names: The names of the modules of attention, with `{}` for the layer, by the field in which
            transformers returns their weights.
        projection: The module that reads the heads of the first of them; None if none does.
        is_routed: Whether attention goes through AttentionInterface; else it is found.
        has_gradients: Whether the weights that it returns are those it uses, so that PyTorch gives
            gradients by them.
    """

    peer: str
    config: Mapping
    inputs: Callable[..., Inputs]
    names: Mapping[str, str]
    projection: str | None
    is_routed: bool = True
    has_gradients: bool = True

    def model(self, seed):
        """Return a model with random weights, larger than usual so that attention is peaked."""
        torch.manual_seed(seed)
        model_class = getattr(transformers, self.peer)
        config = model_class.config_class(**self.config)
        model = model_class._from_config(config, attn_implementation="eager").eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return model

    @property
    def places(self):
        """The modules of attention, each with the field and the index of its weights."""
        return {
            name.format(layer): (field, layer)
            for field, name in self.names.items()
            for layer in range(2)
        }


def only(name, projection, **options):
    """Return the fields of a family with one stack of layers."""
    return {"names": {"attentions": name}, "projection": projection, **options}


def bert_like(prefix=""):
    """Return the fields of a family whose modules are called as in BERT."""
    layer = f"{prefix}encoder.layer.{{}}.attention"
    return only(f"{layer}.self", f"{layer}.output.dense".format(0))


def decoder(layer="model.layers.{}.self_attn", projection="o_proj", **options):
    """Return the fields of a decoder."""
    return only(layer, f"{layer}.{projection}".format(0), **options)


def seq2seq(**names):
    """Return the fields of an encoder-decoder."""
    fields = ("encoder_attentions", "decoder_attentions", "cross_attentions")
    projection = names.pop("projection")
    return {"names": dict(zip(fields, names.values(), strict=True)), "projection": projection}


BART = seq2seq(
    encoder="model.encoder.layers.{}.self_attn",
    decoder="model.decoder.layers.{}.self_attn",
    cross="model.decoder.layers.{}.encoder_attn",
    projection="model.encoder.layers.0.self_attn.out_proj",
)
T5 = seq2seq(
    encoder="encoder.block.{}.layer.0.SelfAttention",
    decoder="decoder.block.{}.layer.0.SelfAttention",
    cross="decoder.block.{}.layer.1.EncDecAttention",
    projection="encoder.block.0.layer.0.SelfAttention.o",
)
CLIP = {
    "names": {
        "text_model_output.attentions": "text_model.encoder.layers.{}.self_attn",
        "vision_model_output.attentions": "vision_model.encoder.layers.{}.self_attn",
    },
    "projection": "text_model.encoder.layers.0.self_attn.out_proj",
}
OWN = {"is_routed": False}

FAMILIES = {
    "BERT": Family("BertModel", TEXT, padded, **bert_like()),
    "RoBERTa": Family("RobertaModel", TEXT, padded, **bert_like()),
    "ELECTRA": Family("ElectraModel", {**TEXT, "embedding_size": 16}, padded, **bert_like()),
    "DistilBERT": Family(
        "DistilBertModel",
        {"vocab_size": 97, "dim": WIDTH, "n_layers": 2, "n_heads": HEADS, "hidden_dim": 56},
        padded,
        **decoder("transformer.layer.{}.attention", "out_lin"),
    ),
    "DeBERTa-v2": Family("DebertaV2Model", TEXT, padded, **bert_like(), **OWN),
    "ModernBERT": Family(
        "ModernBertModel",
        {**TEXT, "local_attention": 4, "cls_token_id": 91, "sep_token_id": 92},
        padded,
        **decoder("layers.{}.attn", "Wo"),
    ),
    "XLNet": Family(
        "XLNetModel",
        {"vocab_size": 97, "d_model": WIDTH, "n_layer": 2, "n_head": HEADS, "d_inner": 56},
        tokens,
        **only("layer.{}.rel_attn", None, has_gradients=False, **OWN),
    ),
    "GPT-2": Family("GPT2LMHeadModel", GPT, padded, **decoder("transformer.h.{}.attn", "c_proj")),
    "GPT-J": Family(
        "GPTJForCausalLM",
        {**GPT, "rotary_dim": 4},
        padded,
        **decoder("transformer.h.{}.attn", "out_proj"),
    ),
    "GPT-NeoX": Family(
        "GPTNeoXForCausalLM", TEXT, padded, **decoder("gpt_neox.layers.{}.attention", "dense")
    ),
    "OPT": Family(
        "OPTForCausalLM",
        {**TEXT, "ffn_dim": 56, "word_embed_proj_dim": WIDTH},
        padded,
        **decoder("model.decoder.layers.{}.self_attn", "out_proj"),
    ),
    "BLOOM": Family(
        "BloomForCausalLM",
        {"vocab_size": 97, "hidden_size": WIDTH, "n_layer": 2, "n_head": HEADS},
        padded,
        **decoder("transformer.h.{}.self_attention", "dense"),
        **OWN,
    ),
    "Falcon": Family(
        "FalconForCausalLM",
        TEXT,
        padded,
        **decoder("transformer.h.{}.self_attention", "dense"),
        **OWN,
    ),
    "MPT": Family(
        "MptForCausalLM",
        {"vocab_size": 97, "d_model": WIDTH, "n_layers": 2, "n_heads": HEADS},
        padded,
        **decoder("transformer.blocks.{}.attn", "out_proj"),
        **OWN,
    ),
    "Llama": Family("LlamaForCausalLM", GROUPED, padded, **decoder()),
    "Mistral": Family("MistralForCausalLM", {**GROUPED, "sliding_window": 3}, padded, **decoder()),
    "Qwen2": Family("Qwen2ForCausalLM", GROUPED, padded, **decoder()),
    "Qwen3": Family("Qwen3ForCausalLM", GROUPED_8, padded, **decoder()),
    "Gemma 2": Family(
        "Gemma2ForCausalLM",
        {**GROUPED_8, "sliding_window": 3, "attn_logit_softcapping": 2.0},
        padded,
        **decoder(),
    ),
    "Gemma 3": Family("Gemma3ForCausalLM", {**GROUPED_8, "sliding_window": 3}, padded, **decoder()),
    "Phi-3": Family("Phi3ForCausalLM", GROUPED, padded, **decoder()),
    "OLMo 2": Family("Olmo2ForCausalLM", GROUPED, padded, **decoder()),
    "Mixtral": Family(
        "MixtralForCausalLM", {**GROUPED, "num_local_experts": 4}, padded, **decoder()
    ),
    "Qwen3-MoE": Family(
        "Qwen3MoeForCausalLM",
        {**GROUPED_8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
        padded,
        **decoder(),
    ),
    "gpt-oss": Family(
        "GptOssForCausalLM",
        {**GROUPED_8, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 4},
        padded,
        **decoder(),
    ),
    "ViT": Family(
        "ViTForImageClassification",
        VISION,
        images,
        **decoder("vit.layers.{}.attention", "o_proj"),
    ),
    "DeiT": Family("DeiTModel", VISION, images, **decoder("layers.{}.attention", "o_proj")),
    "DINOv2": Family(
        "Dinov2Model",
        {name: size for name, size in VISION.items() if name != "intermediate_size"},
        images,
        **decoder("encoder.layer.{}.attention", "o_proj"),
    ),
    "Swin": Family(
        "SwinModel",
        {
            "image_size": 24,
            "patch_size": 3,
            "embed_dim": 16,
            "depths": [1, 1],
            "num_heads": [2, HEADS],
            "window_size": 4,
        },
        images,
        **decoder("encoder.layers.{}.blocks.0.attention", "o_proj"),
    ),
    "SigLIP": Family(
        "SiglipVisionModel", VISION, images, **decoder("encoder.layers.{}.self_attn", "out_proj")
    ),
    "CLIP": Family(
        "CLIPModel",
        {
            "text_config": {**TEXT, "projection_dim": 16},
            "vision_config": {**VISION, "projection_dim": 16},
            "projection_dim": 16,
        },
        captioned,
        **CLIP,
    ),
    "Whisper": Family(
        "WhisperForConditionalGeneration",
        {
            **SEQ2SEQ,
            "max_source_positions": 13,
            "num_mel_bins": 16,
            "suppress_tokens": [],
            "begin_suppress_tokens": [],
        },
        spectrograms,
        **BART,
    ),
    "BART": Family("BartForConditionalGeneration", SEQ2SEQ, pairs, **BART),
    "Marian": Family("MarianMTModel", SEQ2SEQ, pairs, **BART),
    "T5": Family(
        "T5ForConditionalGeneration",
        {
            "vocab_size": 97,
            "d_model": WIDTH,
            "d_kv": HEAD_DIM,
            "d_ff": 56,
            "num_layers": 2,
            "num_heads": HEADS,
            "decoder_start_token_id": 0,
        },
        pairs,
        **T5,
    ),
    "wav2vec 2.0": Family(
        "Wav2Vec2Model",
        {
            **TEXT,
            "conv_dim": (16, 16),
            "conv_stride": (4, 4),
            "conv_kernel": (8, 4),
            "num_feat_extract_layers": 2,
            "num_conv_pos_embeddings": 4,
            "num_conv_pos_embedding_groups": 2,
        },
        sounds,
        **decoder("encoder.layers.{}.attention", "out_proj"),
    ),
}
