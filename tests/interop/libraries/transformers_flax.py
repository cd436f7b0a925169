"""Transformers: the models of its last release with Flax, each beside the weights it returns."""

import functools
from unittest import mock

import jax
import jax.numpy as jnp

from libraries.case import Case, Library, scaled_heads

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 29}
SEQ2SEQ = {
    "vocab_size": 29,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 40,
    "decoder_ffn_dim": 40,
}
TOKENS = jnp.array([[3, 14, 15, 9, 2, 6, 5], [27, 18, 28, 1, 8, 2, 4]])
TARGETS = TOKENS[:, :5] // 2
PADDING = jnp.array([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0]])
IMAGES = jax.random.normal(jax.random.key(0), (2, 3, 12, 12))


def case(model, inputs, names, site, projection, axis=0, gain=6.0):
    """Build a case of a model with kernels large enough for peaked maps.

    Args:
        model: A model of transformers.
        inputs: Its inputs by name.
        names: The names of its attentions, by the field in which it returns their weights.
        site: The attention whose heads are scaled.
        projection: The kernel after these heads.
        axis: The axis of that kernel that holds the heads.
        gain: The factor of all kernels.
    """
    params = jax.tree_util.tree_map_with_path(functools.partial(_scaled, gain), model.params)

    def fn(params, inputs):
        with mock.patch("jax.numpy.clip", _clip):
            return _output(model(**inputs, params=params))

    def scaled(scale):
        return fn(scaled_heads(params, projection, scale, axis), inputs)

    @jax.jit
    def attentions(params, inputs):
        with mock.patch("jax.numpy.clip", _clip):
            returned = model(**inputs, params=params, output_attentions=True)
        return {field: _field(returned, field) for field in names}

    returned = attentions(params, inputs)
    truth = {}
    for field, paths in names.items():
        truth |= dict(zip(paths, returned[field], strict=True))
    return Case(fn, (params, inputs), truth, site, scaled)


def _scaled(gain, path, leaf):
    return leaf * gain if path[-1].key == "kernel" else leaf


def _output(out):
    for field in ("logits", "logits_per_image", "last_hidden_state"):
        if field in out:
            return out[field]
    raise KeyError(list(out))


def _field(returned, path):
    return functools.reduce(lambda value, key: value[key], path.split("/"), returned)


_jax_clip = jnp.clip


def _clip(*args, a_max=None, a_min=None, **kwargs):
    """Accept the names that `jnp.clip` had when these models were written (T5)."""
    kwargs |= {} if a_max is None else {"max": a_max}
    kwargs |= {} if a_min is None else {"min": a_min}
    return _jax_clip(*args, **kwargs)


def gpt2():
    from transformers import FlaxGPT2LMHeadModel, GPT2Config

    config = GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=29, n_positions=16)
    model = FlaxGPT2LMHeadModel(config, input_shape=(1, 7))
    names = {"attentions": [f"transformer.h.{i}.attn.weights" for i in range(2)]}
    inputs = {"input_ids": TOKENS, "attention_mask": PADDING}
    kernel = "transformer/h/1/attn/c_proj/kernel"
    return case(model, inputs, names, names["attentions"][1], kernel, axis=1)


def bert():
    from transformers import BertConfig, FlaxBertModel

    config = BertConfig(**SMALL, intermediate_size=40, max_position_embeddings=16)
    model = FlaxBertModel(config, input_shape=(1, 7))
    names = {"attentions": [f"encoder.layer.{i}.attention.self.weights" for i in range(2)]}
    inputs = {"input_ids": TOKENS, "attention_mask": PADDING}
    kernel = "encoder/layer/1/attention/output/dense/kernel"
    return case(model, inputs, names, names["attentions"][1], kernel, gain=12.0)


def llama():
    from transformers import FlaxLlamaForCausalLM, LlamaConfig

    config = LlamaConfig(
        **SMALL, intermediate_size=40, max_position_embeddings=16, num_key_value_heads=2
    )
    model = FlaxLlamaForCausalLM(config, input_shape=(1, 7))
    names = {"attentions": [f"model.layers.{i}.self_attn.weights" for i in range(2)]}
    inputs = {"input_ids": TOKENS, "attention_mask": PADDING}
    kernel = "model/layers/0/self_attn/o_proj/kernel"
    return case(model, inputs, names, names["attentions"][0], kernel)


def vit():
    from transformers import FlaxViTModel, ViTConfig

    config = ViTConfig(**_without_vocabulary(), intermediate_size=40, image_size=12, patch_size=4)
    model = FlaxViTModel(config)
    names = {"attentions": [f"encoder.layer.{i}.attention.attention.weights" for i in range(2)]}
    kernel = "encoder/layer/1/attention/output/dense/kernel"
    return case(model, {"pixel_values": IMAGES}, names, names["attentions"][1], kernel, gain=25.0)


def _without_vocabulary():
    return {name: size for name, size in SMALL.items() if name != "vocab_size"}


def _seq2seq_names(prefix, cross):
    decoder = f"{prefix}decoder.layers"
    return {
        "encoder_attentions": [f"{prefix}encoder.layers.{i}.self_attn.weights" for i in range(2)],
        "decoder_attentions": [f"{decoder}.{i}.self_attn.weights" for i in range(2)],
        "cross_attentions": [f"{decoder}.{i}.{cross}.weights" for i in range(2)],
    }


def bart():
    from transformers import BartConfig, FlaxBartForConditionalGeneration

    model = FlaxBartForConditionalGeneration(
        BartConfig(**SEQ2SEQ, max_position_embeddings=16), input_shape=(1, 7)
    )
    names = _seq2seq_names("model.", "encoder_attn")
    inputs = {"input_ids": TOKENS, "attention_mask": PADDING, "decoder_input_ids": TARGETS}
    kernel = "model/decoder/layers/1/encoder_attn/out_proj/kernel"
    return case(model, inputs, names, "model.decoder.layers.1.encoder_attn.weights", kernel)


def whisper():
    from transformers import FlaxWhisperForConditionalGeneration, WhisperConfig

    config = WhisperConfig(
        **SEQ2SEQ,
        num_mel_bins=8,
        max_source_positions=9,
        max_target_positions=16,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=1,
        decoder_start_token_id=1,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = FlaxWhisperForConditionalGeneration(config, input_shape=(1, 8, 18))
    names = _seq2seq_names("model.", "encoder_attn")
    mel = jax.random.normal(jax.random.key(1), (2, 8, 18))
    inputs = {"input_features": mel, "decoder_input_ids": TARGETS}
    kernel = "model/decoder/layers/0/encoder_attn/out_proj/kernel"
    site = "model.decoder.layers.0.encoder_attn.weights"
    return case(model, inputs, names, site, kernel, gain=12.0)


def t5():
    from transformers import FlaxT5ForConditionalGeneration, T5Config

    with mock.patch("jax.numpy.clip", _clip):
        config = T5Config(vocab_size=29, d_model=32, d_kv=8, d_ff=40, num_layers=2, num_heads=4)
        model = FlaxT5ForConditionalGeneration(config, input_shape=(1, 7))
    block = "decoder.block.{}.layer"
    names = {
        "encoder_attentions": [
            f"encoder.block.{i}.layer.0.SelfAttention.weights" for i in range(2)
        ],
        "decoder_attentions": [f"{block.format(i)}.0.SelfAttention.weights" for i in range(2)],
        "cross_attentions": [f"{block.format(i)}.1.EncDecAttention.weights" for i in range(2)],
    }
    inputs = {"input_ids": TOKENS, "attention_mask": PADDING, "decoder_input_ids": TARGETS}
    kernel = "decoder/block/1/layer/1/EncDecAttention/o/kernel"
    site = "decoder.block.1.layer.1.EncDecAttention.weights"
    return case(model, inputs, names, site, kernel, gain=1.5)


def clip():
    from transformers import CLIPConfig, FlaxCLIPModel

    tower = {**SMALL, "intermediate_size": 40, "projection_dim": 16}
    text = {**tower, "max_position_embeddings": 16, "eos_token_id": 28}
    vision = {name: size for name, size in tower.items() if name != "vocab_size"}
    vision |= {"image_size": 12, "patch_size": 4}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    model = FlaxCLIPModel(config, input_shape=((1, 7), (1, 12, 12, 3)))
    names = {
        f"{tower}_model_output/attentions": [
            f"{tower}_model.encoder.layers.{i}.self_attn.weights" for i in range(2)
        ]
        for tower in ("text", "vision")
    }
    inputs = {"input_ids": TOKENS, "pixel_values": IMAGES, "attention_mask": PADDING}
    kernel = "vision_model/encoder/layers/0/self_attn/out_proj/kernel"
    site = "vision_model.encoder.layers.0.self_attn.weights"
    return case(model, inputs, names, site, kernel, gain=25.0)


LIBRARY = Library(
    name="transformers, Flax models",
    package="transformers",
    lines="""
fn = tap_attention(lambda params, ids: model(ids, params=params).logits)
out, maps = capture(fn, "*.weights")(model.params, ids)
out = intervene(fn, {"*.h.1.attn.weights": patch(0.0, heads=[2])})(model.params, ids)
""",
    models={
        "GPT-2": gpt2,
        "BERT": bert,
        "T5": t5,
        "BART": bart,
        "ViT": vit,
        "Whisper": whisper,
        "Llama": llama,
        "CLIP": clip,
    },
)
