"""Attention as PyTorch models return it, in the viewer; `make parity` runs it."""

import numpy as np
import pytest

from attn_jax import plot

torch = pytest.importorskip(
    "torch", reason="PyTorch is not in this environment; `make parity` has it"
)


TOKENS = list("abcde")


def attention(*shape, requires_grad=False):
    generator = torch.Generator().manual_seed(len(shape))
    weights = torch.rand(shape, generator=generator).softmax(-1)
    return weights.requires_grad_(requires_grad)


def maps_of(view):
    return np.stack([layer.weights for layer in view._content.layers])


@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_tuple_of_layers_opens_as_it_is(requires_grad):
    layers = tuple(attention(1, 3, 5, 5, requires_grad=requires_grad) for _ in range(7))
    view = plot.viewer(layers, tokens=TOKENS)
    assert view.html()
    expected = torch.cat(layers).detach().numpy()
    np.testing.assert_array_equal(maps_of(view), expected)


def test_bfloat16_keeps_its_values():
    weights = attention(3, 5, 5).to(torch.bfloat16)
    view = plot.viewer(weights, tokens=list(torch.arange(5)))
    np.testing.assert_array_equal(maps_of(view)[0], weights.float().numpy())
    assert view.select(query="4") is not None


def test_an_example_of_a_batch_is_that_one():
    layers = tuple(attention(2, 3, 5, 5) for _ in range(7))
    view = plot.viewer(layers, tokens=TOKENS, example=1)
    np.testing.assert_array_equal(maps_of(view)[2], layers[2][1].numpy())


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((None,) * 4, r"weights\[0\] is None.*attn_implementation='eager'"),
        (
            tuple((attention(1, 3, 1, 5 + step),) * 2 for step in range(3)),
            "differ in shape.*a step of generation",
        ),
        ((attention(1, 3, 5, 5), attention(1, 2, 5, 5)), "differ in shape.*by name"),
        (tuple(attention(2, 3, 5, 5) for _ in range(7)), "holds 2 examples.*example=0 to 1"),
    ],
)
def test_what_cannot_be_one_view_says_the_way_out(weights, message):
    with pytest.raises(ValueError, match=message):
        plot.viewer(weights, tokens=TOKENS)
