"""AlphaFold, from ColabDesign: one iteration of the Evoformer, with its four attentions."""

from unittest import mock

import jax
import jax.numpy as jnp

from libraries import spied
from libraries.case import Library

SEQUENCES, RESIDUES, FEATURES = 3, 5, 16
rngs = jax.random.split(jax.random.key(0), 3)
ACTIVATIONS = {
    "msa": jax.random.normal(rngs[0], (SEQUENCES, RESIDUES, FEATURES)),
    "pair": jax.random.normal(rngs[1], (RESIDUES, RESIDUES, FEATURES)),
}
MASKS = {"msa": jnp.ones((SEQUENCES, RESIDUES)), "pair": jnp.ones((RESIDUES, RESIDUES))}
ATTENTIONS = [
    "msa_row_attention_with_pair_bias.attention",
    "msa_column_attention.attention",
    "triangle_attention_starting_node.attention",
    "triangle_attention_ending_node.attention",
]


def evoformer():
    import haiku as hk
    from colabdesign.af.alphafold.model import config, modules, prng

    settings = config.model_config("model_1").model
    evoformer = settings.embeddings_and_evoformer.evoformer
    # All at once, without a loop over parts of the batch, and with outputs that are not all zero.
    with settings.ignore_type():
        settings.global_config.subbatch_size = evoformer.outer_product_mean.chunk_size = None
        settings.global_config.update({"zero_init": False, "bfloat16": False})

    def iteration(activations):
        module = modules.EvoformerIteration(evoformer, settings.global_config, is_extra_msa=False)
        key = prng.SafeKey(jax.random.key(0))
        return module(activations, MASKS, use_dropout=False, safe_key=key)

    model = hk.without_apply_rng(hk.transform(iteration))
    with _old_names():
        params = model.init(jax.random.key(1), ACTIVATIONS)
    params = jax.tree.map(lambda w: 2 * w, params)

    def fn(params, activations):
        with _old_names():
            out = model.apply(params, activations)
        return jnp.concatenate([out["msa"].reshape(-1), out["pair"].reshape(-1)])

    names = [f"evoformer_iteration.{name}.weights" for name in ATTENTIONS]
    run = lambda: fn(params, ACTIVATIONS)  # noqa: E731
    return spied.case(fn, run, (params, ACTIVATIONS), names, 0)


def _old_names():
    """Give jax the name back that this package calls one of its functions by."""
    return mock.patch.object(jax, "tree_map", jax.tree.map, create=True)


LIBRARY = Library(
    name="AlphaFold (ColabDesign)",
    package="colabdesign",
    lines="""
fn = tap_attention(model.apply)
out, maps = capture(fn, "*.weights")(params, activations)
out = intervene(fn, {"*.msa_row*.weights": patch(0.0, heads=[2])})(params, activations)
""",
    models={"Evoformer": evoformer},
)
