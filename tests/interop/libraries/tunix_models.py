"""Tunix: NNX models, whose attention is in layers without names of their own."""

import jax.numpy as jnp
from flax import nnx

from attn_jax.interop import named
from libraries import spied
from libraries.case import Library

TOKENS = jnp.array([[3, 14, 15, 9, 2, 6, 5], [27, 18, 28, 1, 8, 2, 4]])


def llama():
    from tunix.models.llama3 import model as llama3

    config = llama3.ModelConfig(
        num_layers=2,
        vocab_size=29,
        embed_dim=32,
        hidden_dim=40,
        num_heads=4,
        head_dim=8,
        num_kv_heads=2,
        rope_theta=10_000,
        norm_eps=1e-6,
    )
    model = llama3.Llama3(config, rngs=nnx.Rngs(0))
    positions = jnp.broadcast_to(jnp.arange(7), TOKENS.shape)
    mask = jnp.broadcast_to(jnp.tril(jnp.ones((7, 7), bool)), (2, 7, 7))
    graph, state = nnx.split(model)

    def fn(state, tokens):
        return nnx.merge(graph, state)(tokens, positions, None, mask)[0]

    names = [f"layers.{i}.attn.attention.weights" for i in range(2)]
    run = lambda: fn(state, TOKENS)  # noqa: E731
    return spied.case(named(fn, model), run, (state, TOKENS), names, 1)


LIBRARY = Library(
    name="tunix",
    package="google-tunix",
    lines="""
fn = tap_attention(named(lambda state, tokens: nnx.merge(graph, state)(tokens, ...)[0], model))
out, maps = capture(fn, "*.weights")(state, tokens)
out = intervene(fn, {"layers.1.*.weights": patch(0.0, heads=[2])})(state, tokens)
""",
    models={"Llama 3": llama},
)
