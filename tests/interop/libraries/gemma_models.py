"""Gemma, of DeepMind: Linen modules whose weights have their heads after the queries."""

import jax
import jax.numpy as jnp

from libraries import spied
from libraries.case import Library

TOKENS = jnp.array([[3, 14, 15, 9, 2, 6, 5], [27, 18, 28, 1, 8, 2, 4]])


def transformer():
    from gemma.gm.nn import _config, _modules, _transformer

    kinds = _modules.AttentionType
    config = _config.TransformerConfig(
        num_embed=29,
        embed_dim=32,
        hidden_dim=40,
        num_heads=4,
        head_dim=8,
        num_kv_heads=2,
        final_logit_softcap=None,
        use_post_attn_norm=True,
        use_post_ffw_norm=True,
        attention_types=[kinds.LOCAL_SLIDING, kinds.GLOBAL],
        attn_logits_soft_cap=50.0,
        sliding_window_size=3,
    )

    class Model(_transformer.Transformer):
        pass

    model = Model(config=config, dtype=jnp.float32, return_last_only=False)
    params = model.init(jax.random.key(0), TOKENS)

    def fn(params, tokens):
        return model.apply(params, tokens).logits

    names = [f"layer.{i}.attn.weights" for i in range(2)]
    return spied.case(fn, lambda: fn(params, TOKENS), (params, TOKENS), names, 1, head_axis=-2)


LIBRARY = Library(
    name="gemma",
    package="gemma",
    lines="""
fn = tap_attention(lambda params, tokens: model.apply(params, tokens).logits)
out, maps = capture(fn, "*.weights")(params, tokens)
out = intervene(fn, {"layer.1.*.weights": patch(0.0, heads=[2])})(params, tokens)
""",
    models={"Gemma 2": transformer},
)
