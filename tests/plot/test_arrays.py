"""Tensors of a library that is not installed, through a stand-in with the same protocol."""

import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import plot
from attn_jax.plot.arrays import as_array


class Tensor:
    """Behaves like a tensor of PyTorch: NumPy reads it only detached, and never as bfloat16."""

    def __init__(self, values, *, requires_grad=False, dtype="float32"):
        self.values = np.asarray(values, np.float32)
        self.shape = self.values.shape
        self.requires_grad = requires_grad
        self.dtype = dtype

    def detach(self):
        return Tensor(self.values, dtype=self.dtype)

    def cpu(self):
        return self

    def float(self):
        return Tensor(self.values)

    def item(self):
        return self.values.item()

    def __array__(self, dtype=None, copy=None):
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        if self.dtype == "bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return np.array(self.values, dtype)


class OnlyDlpack:
    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


HALVES = np.full((1, 3, 2, 2), 0.5, np.float32)


@pytest.mark.parametrize(
    "values",
    [
        HALVES,
        HALVES.tolist(),
        jnp.asarray(HALVES, jnp.bfloat16),
        Tensor(HALVES, requires_grad=True),
        Tensor(HALVES, dtype="bfloat16"),
        OnlyDlpack(HALVES),
        [Tensor(HALVES[0], requires_grad=True)],
        ([jnp.asarray(head) for head in HALVES[0]],),
    ],
)
def test_every_container_is_the_same_array(values):
    np.testing.assert_array_equal(as_array(values), HALVES)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, r"weights is None: .*sdpa.*attn_implementation='eager'"),
        ((None, None), r"weights\[0\] is None"),
        ([HALVES, HALVES[:, :2]], r"parts of weights differ in shape: \(1, 3, 2, 2\), \(1, 2, 2"),
        ([[0.5, 0.5], [1.0]], r"parts of weights differ in shape: \(2,\), \(1,\)"),
        ("attention", r"weights of type str is not an array of numbers: .*<U9"),
        (object(), r"weights of type object is not an array of numbers"),
        (HALVES + 1j, r"not an array of numbers: .*complex"),
    ],
)
def test_what_holds_no_numbers_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        as_array(values)


def test_figures_and_pages_take_tensors():
    weights = Tensor(HALVES[0, 0], requires_grad=True)
    drawn = plot.heatmap(weights, mask=Tensor(np.eye(2))).axes[0].images[0].get_array()
    assert np.ma.getmaskarray(drawn).tolist() == [[False, True], [True, False]]
    per_layer = tuple(Tensor(HALVES, requires_grad=True) for _ in range(5))
    view = plot.viewer(per_layer, tokens=[Tensor(7), "b"], gold=Tensor(np.eye(2)))
    assert repr(view) == "Viewer('Attention', 15 maps, axes='lbhqk', view='matrix')"
    assert view.select(query="7.0") is not None


def test_layers_of_unequal_heads_are_shown_as_they_are():
    view = plot.viewer((HALVES, Tensor(HALVES[:, :2], requires_grad=True)), tokens="ab")
    assert [layer.weights.shape for layer in view._content.layers] == [(3, 2, 2), (2, 2, 2)]
    assert view.sources == [
        "layer 0: layer 0 of 2, 1 × 3 × 2 × 2 = batch × heads × queries × keys, example 0",
        "layer 1: layer 1 of 2, 1 × 2 × 2 × 2 = batch × heads × queries × keys, example 0",
    ]
    with pytest.raises(ValueError, match=r"differ in shape.*plot\.viewer also takes layers"):
        as_array((HALVES[0], HALVES[0, :2]))
