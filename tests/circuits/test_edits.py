"""Edges cut and vectors added, against the twin in float64."""

import jax.numpy as jnp
import numpy as np
import pytest
from streams import CLEAN, model, scanned, twin

from attn_jax import circuits
from attn_jax.hooks import HookError

TOKENS = jnp.asarray(CLEAN)


@pytest.mark.parametrize("fn", [model, scanned], ids=["unrolled", "scanned"])
@pytest.mark.parametrize("renormalize", [False, True])
def test_edges_are_cut_in_chosen_layers_and_heads(fn, renormalize):
    def edit(name, weights):
        if name != "layers.1.attention.weights":
            return weights
        weights = weights.copy()
        weights[:, 0, -1, 2] = weights[:, 0, 3, 1] = 0
        if renormalize:
            weights = weights / weights.sum(-1, keepdims=True)
        return weights

    cut = circuits.attention_knockout(
        fn, [(-1, 2), (3, 1)], renormalize=renormalize, layers=1, heads=0
    )
    np.testing.assert_allclose(cut(TOKENS), twin(CLEAN, edit), atol=1e-4)


def test_edges_may_be_a_mask_of_its_own_for_each_text():
    mask = np.zeros((2, 1, 5, 5), bool)
    mask[1, 0, 4, 0] = True
    changed = np.abs(circuits.attention_knockout(model, mask)(TOKENS) - model(TOKENS)).max(-1)
    assert (changed > 1e-3).tolist() == [[False] * 5, [False] * 4 + [True]]


@pytest.mark.parametrize("fn", [model, scanned], ids=["unrolled", "scanned"])
def test_a_vector_is_added_at_chosen_positions_and_layers(fn):
    vector = np.arange(8) / 4

    def edit(name, stream):
        if name == "layers.1.residual":
            stream = stream.copy()
            stream[:, [1, -1]] += 2 * vector
        return stream

    steered = circuits.steer(
        fn, "*.residual", jnp.float32(vector), scale=2, layers=1, positions=[1, -1]
    )
    np.testing.assert_allclose(steered(TOKENS), twin(CLEAN, edit), atol=1e-4)


def test_a_vector_is_added_at_chosen_steps():
    steered = circuits.steer(scanned, "*.residual", jnp.ones(8), steps=[0])
    layered = circuits.steer(scanned, "*.residual", jnp.ones(8), layers=0)
    np.testing.assert_array_equal(steered(TOKENS), layered(TOKENS))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: circuits.attention_knockout(model, [(5, 0)]),
            r"the edge \(5, 0\) is out of range",
        ),
        (
            lambda: circuits.attention_knockout(model, np.ones((4, 4), bool)),
            "do not fit the weights",
        ),
        (
            lambda: circuits.attention_knockout(model, [(1, 0)], layers=7),
            "layers=7 selects a layer",
        ),
        (lambda: circuits.steer(model, "*.residual", jnp.ones(7)), r"shape \[7\] cannot be added"),
        (
            lambda: circuits.steer(model, "*.residual", jnp.ones(8), steps=0),
            "there is no loop around",
        ),
        (
            lambda: circuits.steer(model, "*.residual", jnp.ones(8), positions=9),
            "positions=9 is out of",
        ),
    ],
    ids=["edge", "mask", "layer", "vector", "loop", "position"],
)
def test_edits_that_do_not_fit_are_refused(call, message):
    with pytest.raises(HookError, match=message):
        call()(TOKENS)
