"""The benchmark of pretrained models, without its peers."""

import jax
import jax.numpy as jnp

from attn_jax.hooks import hook_points
from attn_jax.pretrained.families import family_of
from experiments.benchmarks.pretrained import rows
from experiments.benchmarks.pretrained_models import GPT2, GPT2_RUNS, LENS_NAMES, SMOLLM2_RUNS


def test_all_that_transformer_lens_keeps_is_a_hook_point():
    module = family_of(GPT2).from_config(GPT2)
    tokens = jnp.zeros((1, 2), jnp.int32)
    variables = jax.eval_shape(module.init, jax.random.key(0), tokens)
    names = {point.name for point in hook_points(module.apply)(variables, tokens)}
    assert set(LENS_NAMES) <= names
    assert len(set(LENS_NAMES.values())) == len(LENS_NAMES) == 5 + 12 * 19


def test_rows_name_the_peer_and_the_limit():
    cost = {"ratio": 0.512, "to forward": 1.04}
    assert rows(GPT2_RUNS, {"with all that TransformerLens keeps": cost}) == [
        (
            "GPT-2 with all that TransformerLens keeps, 1 × 128 tokens",
            "0.51",
            "TransformerLens, `run_with_cache`",
            "0.56",
        ),
        (
            "GPT-2 with all that TransformerLens keeps, 1 × 128 tokens",
            "1.04",
            "our plain forward",
            "1.1",
        ),
    ]
    (row,) = rows(SMOLLM2_RUNS, {"forward": cost})
    assert row[2:] == ("transformers, eager", "0.90")
