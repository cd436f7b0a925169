"""What transformers computes in eager mode, under the names of this library's hook points."""

import json
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file

_ARGUMENTS = {
    "tokens": "input_ids",
    "key_mask": "attention_mask",
    "decoder_tokens": "decoder_input_ids",
    "images": "pixel_values",
    "mel": "input_features",
}
"""Our names of arguments, and transformers'."""


def random_model(class_name, config, seed):
    """Return a model with random weights, larger than usual so that attention is peaked."""
    torch.manual_seed(seed)
    model_class = getattr(transformers, class_name)
    settings = model_class.config_class(**config, attn_implementation="eager")
    model = model_class(settings).eval()
    with torch.no_grad():
        parameters = [x for x in model.parameters() if x.requires_grad]
        # The only buffer that checkpoints have values for.
        parameters += [x for name, x in model.named_buffers() if name == "final_logits_bias"]
        for parameter in parameters:
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def saved(model):
    """Return the configuration and the tensors of a model as transformers writes them to disk."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = json.loads(Path(folder, "config.json").read_text())
        return config, load_file(Path(folder, "model.safetensors"))


def run(model, inputs):
    """Return the output, the attentions and what enters each layer, NaN where no token is."""
    arguments = {_ARGUMENTS[name]: torch.from_numpy(x) for name, x in inputs.items()}
    if "images" in inputs:
        arguments["pixel_values"] = arguments["pixel_values"].movedim(-1, 1)
    if model.config.model_type in ("vit", "deit", "clip"):
        arguments["interpolate_pos_encoding"] = True
    with torch.no_grad():
        result = model(
            **arguments,
            output_attentions=True,
            output_hidden_states=True,
        )
    values = {"output": result[0]}
    if "encoder_attentions" in result:
        values |= _layers("encoder.", result.encoder_attentions, result.encoder_hidden_states)
        values |= _layers("decoder.", result.decoder_attentions, result.decoder_hidden_states)
        for i, weights in enumerate(result.cross_attentions):
            values[f"decoder.layers.{i}.cross_attention.weights"] = weights
    elif "vision_model_output" in result:
        values |= {"text_vector": result.text_embeds, "image_vector": result.image_embeds}
        for name in ("text", "vision"):
            part = result[f"{name}_model_output"]
            values |= _layers(f"{name}.", part.attentions, part.hidden_states)
    else:
        values |= _layers("", result.attentions, result.hidden_states)
    values = {name: x.numpy() for name, x in values.items()}
    return {name: _only_existing(name, x, inputs) for name, x in values.items()}


def _layers(prefix, attentions, hidden_states):
    """Return the weights of each layer, and the states that enter it."""
    values = {}
    for i, (weights, states) in enumerate(zip(attentions, hidden_states, strict=False)):
        values[f"{prefix}layers.{i}.attention.weights"] = weights
        values[f"{prefix}layers.{i}.residual"] = states
    return values


def _only_existing(name, x, inputs):
    """Return values with NaN at the tokens that fill up a text."""
    exists = inputs.get("key_mask")
    is_written = "decoder_tokens" in inputs and not name.startswith("encoder.")
    # CLIP's vectors and logits are those of whole texts and images.
    is_whole = x.ndim < 3 or name.startswith("vision.")
    if exists is None or is_written or is_whole:
        return x
    if name.endswith(".weights"):
        return np.where(exists[:, None, :, None], x, np.nan)
    return np.where(exists[:, :, None], x, np.nan)
