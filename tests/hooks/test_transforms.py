"""Edits, reducers and their errors, and compositions of the transformations."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from attn_jax.hooks import HookError, activation_grads, capture, hook_points, intervene, tap

X = jnp.arange(6.0).reshape(2, 3)


def fn(x, *, double=False, note="none"):
    """Return twice a hidden value."""
    hidden = tap("hidden", x + 1)
    assert note != "fail"
    return tap("out", 2 * hidden if double else hidden)


def stacked(x):
    return lax.scan(lambda x, _: (tap("hidden", x + 1), None), x, length=5)[0]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda v, s: v[0], "was given float32[2, 3] and returned float32[3]"),
        (lambda v, s: v.astype(jnp.bfloat16), "returned bfloat16[2, 3]"),
        (lambda v, s: 0.0, "returned float32[]"),
        (lambda v, s: v @ v, "the edit at 'hidden' failed, given float32[2, 3]: "),
    ],
    ids=["shape", "dtype", "number", "exception"],
)
def test_a_wrong_edit_names_the_hook_point_and_both_values(edit, message):
    with pytest.raises(HookError, match=re.escape(message)):
        intervene(fn, {"hidden": edit})(X)


def test_a_failing_reducer_names_the_hook_point_and_what_it_got():
    message = "the reducer for 'hidden' failed, given float32[2, 3]: "
    with pytest.raises(HookError, match=re.escape(message)):
        capture(fn, {"hidden": lambda v: v @ v})(X)


def test_reducers_run_in_each_step_and_return_any_pytree():
    reducer = {"*.hidden": lambda v: {"sum": v.sum(), "max": (v.max(),)}}
    captured = capture(stacked, reducer)(X)[1]["*.hidden"]
    sums = np.array([(np.asarray(X) + i).sum() for i in range(1, 6)])
    np.testing.assert_allclose(captured["sum"], sums)
    np.testing.assert_allclose(captured["max"][0], np.arange(6.0, 11.0))
    jaxpr = str(jax.make_jaxpr(capture(stacked, reducer))(X))
    assert "f32[5,2,3]" not in jaxpr


def test_one_step_of_a_scan_is_kept_without_the_others():
    spec = {"2.hidden": None, "4.hidden": jnp.sum}
    captured = capture(stacked, spec)(X)[1]
    np.testing.assert_allclose(captured["2.hidden"], X + 3)
    np.testing.assert_allclose(captured["4.hidden"], (X + 5).sum())
    assert "f32[5,2,3]" not in str(jax.make_jaxpr(capture(stacked, spec))(X))


def test_the_first_pattern_decides_the_reducer_and_all_edits_are_made():
    captured = capture(fn, {"hid*": jnp.sum, "*": None})(X)[1]
    assert captured["hidden"].shape == ()
    assert captured["out"].shape == X.shape
    edits = {"hid*": lambda v, s: v + 1, "*en": lambda v, s: 10 * v}
    np.testing.assert_allclose(intervene(fn, edits)(X), 10 * (X + 2))


def test_what_is_no_array_is_passed_on_as_it_is():
    out, captured = capture(fn)(X, double=True, note="a string")
    np.testing.assert_allclose(out, 2 * X + 2)
    np.testing.assert_allclose(captured["out"], out)
    assert capture(fn).__doc__ == fn.__doc__
    with pytest.raises(AssertionError):
        capture(fn)(X, note="fail")


def test_hook_points_take_abstract_arguments():
    (point,) = hook_points(stacked)(jax.ShapeDtypeStruct((2, 3), jnp.bfloat16))
    assert (point.name, point.shape, point.dtype) == ("*.hidden", (2, 3), jnp.bfloat16)
    assert [(loop.kind, loop.length) for loop in point.loops] == [("scan", 5)]


def test_capture_sees_what_an_intervention_made():
    edited = intervene(fn, {"hidden": lambda v, s: -v})
    np.testing.assert_allclose(capture(edited)(X)[1]["hidden"], -X - 1)
    captured = intervene(capture(fn), {"hidden": lambda v, s: -v})(X)[1]
    np.testing.assert_allclose(captured["hidden"], -X - 1)


def test_gradients_flow_through_what_is_captured():
    def loss(x):
        return (capture(stacked, {"*.hidden": jnp.sum})(x)[1]["*.hidden"] ** 2).sum()

    expected = sum(2 * (X + i).sum() for i in range(1, 6))
    np.testing.assert_allclose(jax.grad(loss)(X), jnp.full_like(X, expected))


def test_an_edit_may_depend_on_what_is_differentiated_or_batched():
    def effect(scale):
        return intervene(fn, {"hidden": lambda v, s: v * scale})(X).sum()

    np.testing.assert_allclose(jax.vmap(jax.grad(effect))(jnp.ones(4)), jnp.full(4, (X + 1).sum()))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: tap("count", (x > 1).astype(jnp.int32)).sum() * 1.0, "'count': it is int32"),
        (
            lambda x: lax.while_loop(lambda x: x.sum() < 9, lambda x: tap("x", x + 1), x).sum(),
            "'x'",
        ),
    ],
)
def test_values_without_a_gradient_are_named(function, message):
    with pytest.raises(HookError, match=f"cannot differentiate with respect to {message}"):
        activation_grads(function, "*")(X)


@pytest.mark.parametrize(
    ("transform", "spec"),
    [(capture, []), (capture, ()), (capture, {}), (activation_grads, []), (activation_grads, ())],
)
def test_an_empty_spec_says_how_to_name_all_hook_points(transform, spec):
    message = f"the spec {spec!r} names no hook points; '*' names all of them"
    with pytest.raises(HookError, match=re.escape(message)):
        transform(fn, spec)


def test_no_edits_change_nothing():
    np.testing.assert_array_equal(intervene(fn, {})(X), X + 1)


def test_a_scan_without_steps_gives_empty_stacks():
    def none_and_one(x):
        x = lax.scan(lambda x, y: (tap("none", x + y), None), x, jnp.ones((0, 2, 3)))[0]
        return lax.scan(lambda x, y: (tap("one", x + y), None), x, jnp.ones((1, 2, 3)))[0]

    captured = capture(none_and_one, ["*.none", "0.one"])(X)[1]
    assert captured["*.none"].shape == (0, 2, 3)
    np.testing.assert_array_equal(captured["0.one"], X + 1)
