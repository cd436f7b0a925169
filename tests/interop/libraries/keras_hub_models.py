"""Keras Hub: backbones on jax, in which layers are named by the model."""

import jax.numpy as jnp

from attn_jax.interop import named
from libraries import spied
from libraries.case import Library

TOKENS = jnp.array([[3, 14, 15, 9, 2, 6, 5], [27, 18, 28, 1, 8, 2, 4]])
SIZES = {
    "vocabulary_size": 29,
    "num_layers": 2,
    "num_heads": 4,
    "hidden_dim": 32,
    "intermediate_dim": 40,
    "max_sequence_length": 16,
}


def backbone(name, **inputs):
    """Return a builder of a case of a backbone of keras_hub."""

    def build():
        import keras_hub

        model = getattr(keras_hub.models, name)(**SIZES)
        values = [
            8.0 * v.value if "kernel" in v.path else v.value for v in model.trainable_variables
        ]
        others = [v.value for v in model.non_trainable_variables]
        tokens = {"token_ids": TOKENS, "padding_mask": jnp.ones_like(TOKENS), **inputs}

        def fn(values, tokens):
            out = model.stateless_call(values, others, tokens)[0]
            return out["sequence_output"] if isinstance(out, dict) else out

        names = [f"transformer_layer.{i}.self_attention_layer.weights" for i in range(2)]
        run = lambda: fn(values, tokens)  # noqa: E731
        return spied.case(named(fn, model), run, (values, tokens), names, 1)

    return build


LIBRARY = Library(
    name="Keras Hub",
    package="keras-hub",
    lines="""
fn = tap_attention(named(lambda values, x: model.stateless_call(values, others, x)[0], model))
out, maps = capture(fn, "*.weights")(values, tokens)
out = intervene(fn, {"*layer.1.*.weights": patch(0.0, heads=[2])})(values, tokens)
""",
    models={
        "BERT": backbone("BertBackbone", segment_ids=jnp.zeros_like(TOKENS)),
        "GPT-2": backbone("GPT2Backbone"),
    },
)
