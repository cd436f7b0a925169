"""Programs of functions made anew: found again, never mixed up, and freed."""

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.hooks import capture, entropy, freed, row_blocked, tap

X = jnp.arange(1.0, 8.0)


def added_up(numbers, slope=1.0):
    """A loop whose body is a new function at each call."""
    return jax.lax.scan(lambda total, x: (total + x * slope, None), 0.0, numbers)[0]


def captured_loop():
    def loop(x):
        return jax.lax.scan(lambda x, _: (tap("state", 2 * x), None), x, length=3)[0]

    return capture(loop)(X)


def captured_jit():
    return capture(jax.jit(lambda x: tap("state", jnp.outer(x, x))))(X)


def entropy_by_rows():
    return row_blocked(entropy, 3)(jax.nn.softmax(jnp.outer(X, X)))


def mapped():
    return freed.map_freed(lambda x: added_up(x * X), X)


def looped_sum(x, scale=1.0):
    def loop(x):
        return jax.lax.scan(lambda x, _: (tap("state", jnp.sin(x * scale)), None), x, length=3)[0]

    return capture(loop)(x)[0].sum()


def captured_jit_sum(x):
    return capture(jax.jit(lambda x: tap("state", jnp.outer(x, x))))(x)[0].sum()


@pytest.mark.parametrize("fn", [looped_sum, captured_jit_sum])
@pytest.mark.parametrize("derivative", [jax.grad, jax.jacfwd, jax.hessian])
def test_an_eager_derivative_finds_its_programs(derivative, fn, count_programs):
    call = derivative(fn)
    call(X)
    assert count_programs(lambda: call(X)) == 0


def test_an_eager_gradient_takes_no_program_of_other_numbers():
    for scale in (1.0, 0.5, jnp.float32(0.5), jnp.full(7, 0.5), -1.0, 1.0):
        x, slope = np.arange(1.0, 8.0), 1.0
        for _ in range(3):
            x, slope = np.sin(x * scale), slope * np.cos(x * scale) * scale
        gradient = jax.grad(looped_sum)(X, scale)
        np.testing.assert_allclose(gradient, slope, rtol=1e-5)


@pytest.mark.parametrize("call", [captured_loop, captured_jit, entropy_by_rows, mapped])
def test_a_function_made_anew_finds_its_program(call, count_programs):
    call()  # JAX compiles its own small operations once
    freed.keep.cache_clear()
    assert count_programs(call) == 1
    assert count_programs(call) == 0


def test_what_is_closed_over_is_no_part_of_the_program(count_programs):
    def call(scale):
        return freed.run_freed(lambda x: added_up(x * scale), X)

    scales = jnp.float32(2), jnp.float32(3)
    np.testing.assert_allclose(call(scales[0]), 2 * 28)
    results = []
    assert count_programs(lambda: results.append(call(scales[1]))) == 0
    np.testing.assert_allclose(results[0], 3 * 28)


def test_a_kept_program_does_not_hold_what_is_closed_over():
    scale = jnp.float32(7) + 1
    alive = weakref.ref(scale)
    freed.run_freed(lambda x, scale=scale: added_up(x * scale), X)
    del scale
    gc.collect()
    assert alive() is None


def test_names_are_no_part_of_the_program():
    for name in ("one", "other"):
        _, captured = capture(jax.jit(lambda x, name=name: tap(name, 2 * x)))(X)
        np.testing.assert_allclose(captured[name], 2 * X)


def test_other_programs_are_not_taken_for_the_same():
    for slope in (1.0, 2.0, 1.0):
        result = freed.run_freed(lambda x, slope=slope: added_up(x, slope), X)
        np.testing.assert_allclose(result, slope * 28)


def test_functions_of_the_host_are_not_taken_for_each_other():
    for factor in (2, 3):
        result = freed.run_freed(
            lambda x, factor=factor: jax.pure_callback(lambda x: factor * x, x, x), X
        )
        np.testing.assert_allclose(result, factor * np.arange(1.0, 8.0))


def test_types_that_the_text_does_not_tell_are_kept_apart():
    weak, strong = (freed.run_freed(lambda x: x + 1, one) for one in (1.0, jnp.float32(1)))
    assert weak.weak_type
    assert not strong.weak_type
    raw, key = (
        freed.run_freed(lambda x: x, x) for x in (jnp.zeros(2, "uint32"), jax.random.key(0))
    )
    assert raw.shape == (2,)
    assert jnp.issubdtype(key.dtype, jax.dtypes.prng_key)


def test_a_program_does_not_lend_its_rule_of_differentiation():
    """Two functions that lower alike, one of which has a slope of its own."""

    @jax.custom_jvp
    def own_slope(x):
        return 2 * x

    own_slope.defjvps(lambda t, out, x: 5 * t)
    plain = freed.prepare_freed(lambda x: 2 * x, 1.0)
    other = freed.prepare_freed(own_slope, 1.0)
    assert plain(3.0) == other(3.0) == 6.0
    assert jax.grad(plain)(3.0) == 2.0
    assert jax.grad(other)(3.0) == 5.0


def test_programs_are_freed_when_others_follow():
    def call(size):
        program = freed.prepare_freed(lambda x: added_up(x), jnp.ones(size))
        program(jnp.ones(size))

    freed.keep.cache_clear()
    call(3)
    most = freed.keep.cache_info().maxsize
    for size in range(5, 5 + 2 * most):
        call(size)
    assert freed.keep.cache_info().currsize == most
