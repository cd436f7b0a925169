"""Ablation, patching and recording on modules of this library, and on Flax's own, tapped."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from other_models import HEADS, LAYERS, MODELS, X, reference, values_of

from attn_jax import circuits
from attn_jax.hooks import HookError, hook_points

OTHER = X + jax.random.normal(jax.random.key(3), X.shape)
TOKENS = X.shape[1]


def difference(logits):
    """The metric, for arrays of JAX and of NumPy."""
    return (logits[:, -1, 4] - logits[:, -1, 1]).mean()


def close(x, expected):
    np.testing.assert_allclose(x, expected, atol=2e-5)


@pytest.fixture(scope="module", params=MODELS)
def pair(request):
    return request.param()


def leaf_points(fn, leaf):
    """The hook points of both layers, which a tapped model names after the function."""
    names = [p.name for p in hook_points(fn)(X) if p.name.endswith(leaf)]
    assert len(names) == LAYERS
    return names


def replaced(name, value, where=...):
    """An edit of the reference that puts values, or a number, in at a place."""

    def edit(own, x):
        if own == name:
            x = x.copy()
            x[where] = np.broadcast_to(value, x.shape)[where]
        return x

    return edit


def head(number):
    return np.s_[:, :, number]


def test_ablation(pair):
    fn, params = pair
    effects = circuits.ablate_heads(fn, X, difference, by="resample", other=OTHER)
    values, whole = values_of(params, OTHER), difference(reference(params, X))
    for i, h in np.ndindex(LAYERS, HEADS):
        name = f"{i}.context"
        edit = replaced(name, values[name], head(h))
        close(effects.values[i, h], difference(reference(params, X, edit)) - whole)


def test_knockout_and_steering(pair):
    fn, params = pair
    cut = circuits.attention_knockout(fn, [(-1, 2)], attention=leaf_points(fn, "weights")[1])
    edit = replaced("1.weights", 0.0, np.s_[:, :, -1, 2])
    close(cut(X), reference(params, X, edit))
    vector = jnp.arange(X.shape[-1], dtype=jnp.float32)
    steered = circuits.steer(fn, "layers.0.residual_out", vector, positions=1)
    moved = values_of(params, X)["0.residual_out"] + np.asarray(vector)
    close(steered(X), reference(params, X, replaced("0.residual_out", moved, np.s_[:, 1])))


def test_activation_patching(pair):
    fn, params = pair
    patched = circuits.activation_patching(fn, X, OTHER, difference, points="*.residual_out")
    values = values_of(params, X)
    for i, t in np.ndindex(LAYERS, TOKENS):
        name = f"{i}.residual_out"
        edit = replaced(name, values[name], np.s_[:, t])
        close(patched.values[i, t], difference(reference(params, OTHER, edit)))


def test_attribution_patching(pair):
    """The derivative along the difference of the runs, by finite differences in float64."""
    fn, params = pair
    estimates = circuits.attribution_patching(fn, X, OTHER, difference, points="*.residual_out")
    clean, corrupted = values_of(params, X), values_of(params, OTHER)
    for i, t in np.ndindex(LAYERS, TOKENS):
        name = f"{i}.residual_out"
        ends = [corrupted[name] + size * (clean[name] - corrupted[name]) for size in (1e-5, -1e-5)]
        up, down = (
            difference(reference(params, OTHER, replaced(name, end, np.s_[:, t]))) for end in ends
        )
        close(estimates.values[i, t], (up - down) / 2e-5)


def test_path_patching(pair):
    """What a head of the first layer writes reaches the logits past the second layer."""
    fn, params = pair
    effects = circuits.path_patching(fn, X, OTHER, difference, "layers.1.residual_out")
    clean, corrupted = values_of(params, X), values_of(params, OTHER)
    head_kernel = np.asarray(params["head"]["kernel"], np.float64)
    for i, h in np.ndindex(LAYERS, HEADS):
        change = (corrupted[f"{i}.context"] - clean[f"{i}.context"])[:, -1, h]
        written = change @ np.asarray(params[f"layers_{i}"]["out"]["kernel"][h], np.float64)
        close(effects.values[i, h], (written @ (head_kernel[:, 4] - head_kernel[:, 1])).mean())


def test_edges_need_a_residual_stream(pair):
    fn, _ = pair
    with pytest.raises(HookError, match="edge_attribution needs hook points like"):
        circuits.edge_attribution(fn, X, OTHER, difference)


def test_recording(pair, tmp_path):
    fn, params = pair
    recording = circuits.record(fn, "*.weights", [X, OTHER], tmp_path)
    expected = [values_of(params, inputs) for inputs in (X, OTHER)]
    for i, name in enumerate(leaf_points(fn, "weights")):
        close(recording[name], np.concatenate([values[f"{i}.weights"] for values in expected]))
