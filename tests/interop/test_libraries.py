"""Models of other libraries under `tap_attention`, each beside its own truth; `make interop`."""

import functools
import importlib
import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from libraries.case import loss
from report import FILES, FILES_BY_HAND, record

from attn_jax.hooks import activation_grads, capture, entropy, intervene, patch, tap_attention

HEAD = 1

pytestmark = [
    pytest.mark.usefixtures("foreign"),
    pytest.mark.filterwarnings("ignore"),
]


def pytest_generate_tests(metafunc):
    """Run each test on every model, in the environment that has them."""
    is_by_hand = metafunc.config.getoption("--all", default=False)
    package = "keras_hub" if is_by_hand else "penzai"
    if importlib.util.find_spec(package) is None:
        pytest.skip("left to `make interop`, whose environment has the libraries")
    files = FILES_BY_HAND if is_by_hand else FILES
    models = [(file, model) for file in files for model in library_of(file).models]
    ids = [f"{file}-{model.replace(' ', '_')}" for file, model in models]
    metafunc.parametrize(("library", "model"), models, ids=ids)


def library_of(file):
    return importlib.import_module(f"libraries.{file}").LIBRARY


@functools.cache
def case(library, model):
    return library_of(library).models[model]()


@functools.cache
def plain(library, model):
    this = case(library, model)
    return np.asarray(jax.jit(this.fn)(*this.args))


def close(value, truth, tolerance):
    value, truth = np.asarray(value), np.asarray(truth)
    np.testing.assert_allclose(
        value.reshape(truth.shape), truth, rtol=0, atol=tolerance * max(1.0, np.abs(truth).max())
    )


def test_every_map_is_found_under_its_name(library, model):
    this = case(library, model)
    with record(library, model, "found"):
        out, maps = jax.jit(capture(tap_attention(this.fn), "*weights"))(*this.args)
        close(out, plain(library, model), 1e-6)
        assert len(maps) == len(this.truth)
    with record(library, model, "named"):
        assert maps.keys() == this.truth.keys()
    with record(library, model, "found"):
        for name, weights in this.truth.items():
            assert maps[name].shape[-3:] == weights.shape[-3:], name
            close(maps[name], weights, 2e-5)


def test_silencing_a_head_equals_the_models_own_way(library, model):
    this = case(library, model)
    edits = {this.site: patch(0.0, heads=[HEAD], head_axis=this.head_axis)}
    heads = this.truth[this.site].shape[-3]
    with record(library, model, "edited"):
        edited = jax.jit(intervene(tap_attention(this.fn), edits))(*this.args)
        silenced = jax.jit(this.scaled)(jnp.ones(heads).at[HEAD].set(0.0))
        close(edited, silenced, 1e-5)
        # An edit that does nothing would equal nothing.
        assert np.abs(np.asarray(edited) - plain(library, model)).max() > 1e-3


def test_gradients_of_the_weights_equal_those_of_scaled_heads(library, model):
    """The derivative by a factor of all weights of a head is the sum of weights × gradients."""
    this = case(library, model)
    weights = this.truth[this.site]

    def tapped(*args):
        return loss(tap_attention(this.fn)(*args))

    with record(library, model, "gradient"):
        gradients = jax.jit(activation_grads(tapped, this.site))(*this.args)[this.site]
        by_head = (weights * gradients.reshape(weights.shape)).swapaxes(-3, 0)
        by_head = by_head.reshape(len(by_head), -1).sum(1)
        expected = jax.jit(jax.grad(lambda scale: loss(this.scaled(scale))))(
            jnp.ones(weights.shape[-3])
        )
        assert jnp.abs(expected).max() > 1e-3
        close(by_head, expected, 1e-4)


def test_a_reducer_gives_the_entropy_of_every_map(library, model):
    this = case(library, model)
    with record(library, model, "summary"):
        values = jax.jit(capture(tap_attention(this.fn), {"*weights": entropy}))(*this.args)[1]
        for name, weights in this.truth.items():
            p = np.asarray(weights, np.float64)
            expected = -(p * np.log(np.where(p > 0, p, 1.0))).sum(-1)
            close(values[name], expected, 1e-4)
