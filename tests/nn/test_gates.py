"""Gates are their functions with parameters, and have the hook point `gate`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import nn, ops
from attn_jax.hooks import capture, intervene

X = jax.random.normal(jax.random.key(0), (2, 4, 6, 8))
GATING = jax.random.normal(jax.random.key(1), (2, 2, 3, 5))
GATES = {
    "squeeze-and-excitation": (nn.SqueezeExcitation(reduction=4), (), ops.squeeze_excitation),
    "channel": (nn.ChannelGate(reduction=4), (), ops.channel_gate),
    "spatial": (nn.SpatialGate(kernel_size=3), (), ops.spatial_gate),
    "attention": (nn.AttentionGate(hidden_dim=7), (GATING,), ops.attention_gate),
}


def gated(x, gate):
    """The features times their gate, in NumPy: one number for each channel, or for each place."""
    gate = np.asarray(gate)
    return np.asarray(x) * (gate[:, None, None] if gate.ndim == 2 else gate[..., None])


@pytest.mark.parametrize("name", GATES)
def test_a_module_is_its_function_and_its_gate_may_be_edited(name):
    model, rest, function = GATES[name]
    variables = jax.jit(model.init)(jax.random.key(2), X, *rest)
    output, captured = jax.jit(capture(model.apply))(variables, X, *rest)
    gate = jax.jit(function)(X, *rest, **variables["params"])
    np.testing.assert_allclose(captured["gate"], gate, atol=1e-6)
    np.testing.assert_allclose(output, gated(X, gate), atol=1e-5)
    opened = intervene(model.apply, {"gate": lambda gate, site: jnp.ones_like(gate)})
    np.testing.assert_array_equal(jax.jit(opened)(variables, X, *rest), X)


def test_cbam_gates_channels_and_then_places():
    model = nn.CBAM(reduction=4, kernel_size=3)
    variables = jax.jit(model.init)(jax.random.key(2), X)
    output, captured = jax.jit(capture(model.apply))(variables, X)
    assert {n: g.shape for n, g in captured.items()} == {
        "channel.gate": (2, 8),
        "spatial.gate": (2, 4, 6),
    }
    inner = gated(X, ops.channel_gate(X, **variables["params"]["channel"]))
    gate = ops.spatial_gate(jnp.asarray(inner), **variables["params"]["spatial"])
    np.testing.assert_allclose(output, gated(inner, gate), atol=1e-5)


def test_a_grid_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="the grid"):
        nn.AttentionGate().init(jax.random.key(0), X[:, :3], GATING)


@pytest.mark.parametrize("name", GATES)
def test_an_empty_batch_has_an_empty_gate(name):
    model, rest, _ = GATES[name]
    variables = model.init(jax.random.key(2), X, *rest)
    out = model.apply(variables, X[:0], *(array[:0] for array in rest))
    assert out.shape == (0, *X.shape[1:])
