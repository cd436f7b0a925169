"""Penzai: its Llama, beside what its own softmax layers gave."""

import dataclasses

import jax
import jax.numpy as jnp

from attn_jax.interop import named
from libraries.case import Case, Library

GROUPS, QUERIES_OF_A_GROUP = 2, 3
TOKENS = jnp.array([[3, 14, 15, 9, 2], [1, 8, 2, 4, 7]])
PROJECTION = "transformer/block_1/attention/output.weights"


def llama():
    from penzai import pz
    from penzai.models.transformer.variants import llamalike_common

    config = llamalike_common.LlamalikeTransformerConfig(
        num_kv_heads=GROUPS,
        query_head_multiplier=QUERIES_OF_A_GROUP,
        embedding_dim=12,
        projection_dim=4,
        mlp_hidden_dim=16,
        num_decoder_blocks=2,
        vocab_size=17,
        mlp_variant="swiglu",
        rope_wavelength=10_000.0,
        tie_embedder_and_logits=False,
        activation_dtype=jnp.float32,
    )
    model = llamalike_common.build_llamalike_transformer(config, init_base_rng=jax.random.key(0))
    unbound, params = pz.unbind_params(model, freeze=True)
    params = [dataclasses.replace(p, value=2 * p.value) for p in params]

    def bound(params):
        return pz.bind_variables(unbound, params, unfreeze_as_copy=True)

    def fn(params, tokens):
        return _run(bound(params), tokens)

    def scaled(scale):
        factors = pz.nx.wrap(scale.reshape(GROUPS, -1)).tag("head_groups", "query_heads")
        changed = [
            dataclasses.replace(p, value=p.value * factors) if p.label == PROJECTION else p
            for p in params
        ]
        return fn(changed, TOKENS)

    names = [f"body.{i}.0.delta.1.weights" for i in (1, 2)]
    truth = dict(zip(names, _softmaxes(bound(params)), strict=True))
    return Case(named(fn, unbound), (params, TOKENS), truth, names[1], scaled)


def _run(model, tokens):
    from penzai import pz

    tokens = pz.nx.wrap(tokens).tag("batch", "seq")
    positions = pz.nx.arange("seq", TOKENS.shape[1])
    return model(tokens, token_positions=positions).unwrap("batch", "seq", "vocabulary")


def _softmaxes(model):
    """Return what each softmax of the model gives, by a layer put behind it."""
    from penzai import pz

    results = []

    @pz.pytree_dataclass
    class Watching(pz.nn.Layer):
        def __call__(self, value, **unused):
            axes = ("batch", "head_groups", "query_heads", "seq", "kv_seq")
            weights = value.unwrap(*axes)
            results.append(weights.reshape(len(weights), -1, *weights.shape[3:]))
            return value

    _run(pz.select(model).at_instances_of(pz.nn.Softmax).insert_after(Watching()), TOKENS)
    return results


LIBRARY = Library(
    name="penzai",
    package="penzai",
    lines="""
fn = tap_attention(named(lambda tokens: model(tokens, token_positions=positions), model))
out, maps = capture(fn, "*.weights")(tokens)
out = intervene(fn, {"body.2.*.weights": patch(0.0, heads=[2])})(tokens)
""",
    models={"Llama": llama},
)
