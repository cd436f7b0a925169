import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.hooks import capture, intervene
from attn_jax.models import UNet
from attn_jax.models.unet import double_grid

MODEL = UNet(features=(3, 5, 7), gated_levels=(0, 1))
IMAGE = jax.random.uniform(jax.random.key(0), (2, 12, 20))


@pytest.fixture(scope="module")
def variables(draw_variables):
    return draw_variables(MODEL, IMAGE)


def test_gates_are_seen_and_act(variables):
    logits, gates = jax.jit(capture(MODEL.apply, "gates.*.gate"))(variables, IMAGE)
    assert logits.shape == IMAGE.shape
    assert {name: gate.shape for name, gate in gates.items()} == {
        "gates.0.gate": (2, 12, 20),
        "gates.1.gate": (2, 6, 10),
    }
    for gate in gates.values():
        assert 0 < gate.min() < gate.max() < 1
    closed = intervene(MODEL.apply, {"gates.0.gate": lambda gate, site: 0 * gate})
    assert np.abs(jax.jit(closed)(variables, IMAGE) - logits).max() > 1e-3


def test_a_closed_gate_is_a_skip_of_zeros(variables):
    """The features of the finest level reach the output through the levels below alone."""
    closed = intervene(MODEL.apply, {"gates.0.gate": lambda gate, site: 0 * gate})

    def without_skip(params):
        changed = jax.tree.map(lambda leaf: leaf, params)
        kernel = changed["params"]["up_0"]["Conv_0"]["kernel"]
        # The first three of the channels that the decoder reads are those of the skip connection.
        changed["params"]["up_0"]["Conv_0"]["kernel"] = kernel.at[:, :, :3].set(0)
        return changed

    expected = jax.jit(MODEL.apply)(without_skip(variables), IMAGE)
    np.testing.assert_allclose(jax.jit(closed)(variables, IMAGE), expected, atol=1e-5)


def test_the_up_convolution_is_a_transposed_convolution():
    x = jax.random.normal(jax.random.key(1), (2, 3, 5, 7))
    kernel = jax.random.normal(jax.random.key(2), (2, 2, 7, 11))
    dense = kernel.transpose(2, 0, 1, 3).reshape(7, 44)
    expected = np.zeros((2, 6, 10, 11), np.float32)
    for i in range(3):
        for j in range(5):
            for down in range(2):
                for across in range(2):
                    expected[:, 2 * i + down, 2 * j + across] = x[:, i, j] @ kernel[down, across]
    np.testing.assert_allclose(double_grid(x @ dense), expected, atol=1e-4)


def test_sides_that_cannot_be_halved():
    with pytest.raises(ValueError, match=r"images of 12 by 18 pixels cannot be halved 2 times; "):
        MODEL.init(jax.random.key(0), jnp.zeros((1, 12, 18)))


def test_a_gate_without_a_skip():
    model = MODEL.clone(gated_levels=(2,))
    with pytest.raises(
        ValueError, match=r"names level 2, but the levels with a skip .* are 0 to 1"
    ):
        model.init(jax.random.key(0), IMAGE)
