"""Patches of unrolled and scanned models."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from attn_jax.hooks import HookError, capture, intervene, patch, tap

LAYERS, H, Q, K = 3, 2, 5, 7
CLEAN = jnp.arange(float(H * Q * K)).reshape(H, Q, K)
OTHER = -CLEAN - 1


def layer(x):
    return tap("weights", x) + 1


def unrolled(x):
    for i in range(LAYERS):
        with jax.named_scope(f"layers_{i}"):
            x = layer(x)
    return x


def scanned(x):
    def step(x, _):
        with jax.named_scope("layers"):
            return layer(x), None

    return lax.scan(step, x, length=LAYERS)[0]


MODELS = pytest.mark.parametrize("fn", [unrolled, scanned])


@MODELS
@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"heads": 1}, np.s_[1]),
        ({"heads": -1, "positions": [0, 2]}, np.s_[1, [0, 2]]),
        ({"positions": slice(1, None, 2)}, np.s_[:, 1::2]),
        ({"positions": range(1, 3)}, np.s_[:, 1:3]),
        ({}, np.s_[:]),
    ],
    ids=["head", "head and positions", "slice", "range", "all"],
)
def test_a_patch_replaces_what_it_names(fn, options, where):
    _, donor = capture(fn)(OTHER)
    out = intervene(fn, {"layers.1.weights": patch(donor, **options)})(CLEAN)
    expected = np.array(CLEAN) + 1
    expected[where] = np.asarray(OTHER)[where] + 1
    np.testing.assert_array_equal(out, expected + 2)


@MODELS
@pytest.mark.parametrize("layers", [2, [2], slice(2, None), jnp.int32(2)])
def test_layers_are_chosen_by_number(fn, layers):
    edits = {"*weights": patch(0.0, layers=layers, heads=0)}
    expected = np.array(CLEAN) + 3
    expected[0] = 1
    np.testing.assert_array_equal(intervene(fn, edits)(CLEAN), expected)


@MODELS
def test_values_of_one_layer_come_from_that_layer(fn):
    donor = capture(fn, "layers.2.*")(OTHER)[1]
    out = intervene(fn, {"layers.2.*": patch(donor)})(CLEAN)
    np.testing.assert_array_equal(out, OTHER + 3)


def test_heads_may_be_batched():
    def without(head):
        return intervene(unrolled, {"layers.2.weights": patch(0.0, heads=head)})(CLEAN)

    out = jax.vmap(without)(jnp.arange(H))
    for head in range(H):
        expected = np.array(CLEAN) + 3
        expected[head] = 1
        np.testing.assert_array_equal(out[head], expected)


def test_axes_follow_the_layout_of_the_leaf():
    def fn(x):
        return tap("context", x)

    x = jnp.ones((5, 2, 3))  # tokens, heads, features
    out = intervene(fn, {"context": patch(0.0, heads=1, positions=4)})(x)
    assert out.sum() == x.size - 3
    out = intervene(fn, {"context": patch(0.0, positions=1, position_axis=-2)})(x)
    assert out.sum() == x.size - 15


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            patch(jnp.ones(4)),
            r"shape \[4\] does not fit the shape \[2, 5, 7\] of 'layers.0.weights'",
        ),
        (patch({"other": CLEAN}), "no value for 'layers.0.weights' among other"),
        (patch(0.0, heads=2), "heads=2 is out of range; there are 2"),
        (patch(0.0, heads=np.int64(2)), "heads=2 is out of range; there are 2"),
        (patch(0.0, heads=jnp.array([0, -3])), "heads=-3 is out of range; there are 2"),
        (patch(0.0, heads=[True, False]), r"heads=\[True, False\] is a mask; pass the numbers"),
        (patch(0.0, head_axis=-4, heads=0), "no axis -4 of heads"),
    ],
    ids=["shape", "name", "head", "numpy", "array", "mask", "axis"],
)
def test_patches_that_do_not_fit_say_why(edit, message):
    with pytest.raises(HookError, match=message):
        intervene(unrolled, {"*": edit})(CLEAN)


@pytest.mark.parametrize(
    "layers",
    [-1, [0, -1], jnp.int32(-1), slice(-1, None), slice(0, -1), slice(None, None, -1)],
    ids=str,
)
def test_layers_are_not_counted_from_the_end(layers):
    with pytest.raises(HookError, match="counts from the end; layers are counted from 0"):
        patch(0.0, layers=layers)


def test_a_float_does_not_become_an_integer():
    def fn(x):
        return tap("count", x)

    counts = jnp.arange(3)
    message = "a value of dtype float32 does not fit the dtype int32 of 'count'"
    with pytest.raises(HookError, match=message):
        intervene(fn, {"count": patch(0.5)})(counts)
    np.testing.assert_array_equal(intervene(fn, {"count": patch(7)})(counts), [7, 7, 7])


@MODELS
@pytest.mark.parametrize("layers", [99, [0, 99], slice(99, None)], ids=["one", "of two", "slice"])
def test_a_layer_that_does_not_exist_is_refused(fn, layers):
    with pytest.raises(HookError, match=r"99.* selects a layer .*; their layers are 0, 1, 2"):
        intervene(fn, {"*weights": patch(0.0, layers=layers)})(CLEAN)


def test_layers_of_stacks_of_unequal_depth_are_those_of_either():
    def fn(x):
        with jax.named_scope("encoder"):
            x = scanned(x)
        return tap("decoder.layers.4.weights", x)

    out = intervene(fn, {"*weights": patch(0.0, layers=[0, 4])})(CLEAN)
    np.testing.assert_array_equal(out, 0)


def test_layers_need_a_number():
    with pytest.raises(HookError, match="'weights' has no number of a layer"):
        intervene(layer, {"*": patch(0.0, layers=0)})(CLEAN)
