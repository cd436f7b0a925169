"""Each case in which hooks work or refuse to, against separate NumPy, and its table in the docs.

`python tests/hooks/test_table.py` rewrites the table; the last test here compares it.
"""

import dataclasses
import functools
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=4")

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from jax import lax
from jax.experimental import pallas
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from attn_jax.hooks import HookError, activation_grads, capture, intervene, tap

TABLE = Path(__file__).parents[2] / "docs" / "hooks_table.md"
YES = "yes"
X = np.array([0.3, -0.7, 1.1])
X2 = np.array([[0.3, -0.7, 1.1], [0.2, 0.5, -0.4]])
LAYERS = np.linspace(-1, 1, 15).reshape(5, 3)
STEPS = np.linspace(0.2, 0.9, 6).reshape(2, 3)


# Functions with taps, and the same in NumPy. An edit of a reference takes a name, a value and the
# indices of the loops around it.


def bare(x):
    hidden = tap("hidden", jnp.sin(x))
    return hidden**3 + x


def bare_reference(x, edit, name="hidden"):
    hidden = edit(name, np.sin(x), ())
    return hidden**3 + x, {name: hidden}


def other_axis_reference(x, edit):
    hidden = edit("hidden", np.sin(x).T, ())
    return hidden.T**3 + x, {"hidden": hidden}


def twice(x):
    return bare(bare(x))


def twice_reference(x, edit):
    middle, first = bare_reference(x, edit)
    out, second = bare_reference(middle, edit, "hidden#1")
    return out, first | second


def gradient(x):
    return jax.grad(lambda x: bare(x).sum())(x)


def gradient_reference(x, edit):
    hidden = edit("hidden", np.sin(x), ())
    return 3 * hidden**2 * np.cos(x) + 1, {"hidden": hidden}


def layer(state, weight):
    with jax.named_scope("layers"):
        return state + tap("hidden", jnp.sin(state * weight)), None


def stack(layer, x):
    return lax.scan(layer, x, jnp.asarray(LAYERS, x.dtype))[0]


def unrolled(x):
    for i, weight in enumerate(jnp.asarray(LAYERS, x.dtype)):
        with jax.named_scope(f"layers_{i}"):
            x = x + tap("hidden", jnp.sin(x * weight))
    return x


def layers_reference(x, edit, names, index):
    hidden = {}
    for i, weight in enumerate(LAYERS):
        value = np.sin(x * weight)
        hidden[names[i]] = edit(names[i], value, index(i)) if names[i] else value
        x = x + hidden[names[i]]
    return x, hidden


def unrolled_reference(x, edit):
    names = [f"layers.{i}.hidden" for i in range(len(LAYERS))]
    return layers_reference(x, edit, names, lambda _: ())


def one_reference(x, edit):
    names = [None, None, "layers.2.hidden", None, None]
    out, hidden = layers_reference(x, edit, names, lambda i: (i,))
    return out, {names[2]: hidden[names[2]]}


def stack_reference(x, edit):
    hidden = np.zeros((len(LAYERS), *x.shape))
    for i, weight in enumerate(LAYERS):
        hidden[i] = edit("layers.*.hidden", np.sin(x * weight), (i,))
        x = x + hidden[i]
    return x, {"layers.*.hidden": hidden}


def decoder(x):
    def step(state, symbol):
        state = tap("state", jnp.tanh(state + symbol))
        return state, 2 * state

    return lax.scan(step, x, jnp.asarray(STEPS, x.dtype), reverse=True)[1]


def decoder_reference(x, edit):
    states = [None, None]
    for i in (1, 0):
        x = states[i] = edit("*.state", np.tanh(x + STEPS[i]), (i,))
    return 2 * np.stack(states), {"*.state": np.stack(states)}


def decoders_reference(x, edit):
    out, captured = decoder_reference(x, edit)
    return np.moveaxis(out, 0, 1), captured


def nested(x):
    def step(state, symbol):
        return stack(layer, state + symbol), None

    return lax.scan(step, x, jnp.asarray(STEPS, x.dtype))[0]


def nested_reference(x, edit):
    hidden = np.zeros((len(STEPS), len(LAYERS), len(x)))
    for i, symbol in enumerate(STEPS):
        x = x + symbol
        for j, weight in enumerate(LAYERS):
            hidden[i, j] = edit("layers.*.*.hidden", np.sin(x * weight), (i, j))
            x = x + hidden[i, j]
    return x, {"layers.*.*.hidden": hidden}


def loop(x):
    def body(carry):
        i, x = carry
        return i + 1, x + tap("hidden", jnp.sin(x * i))

    return lax.while_loop(lambda carry: carry[0] < 4, body, (0, x))[1]


def loop_reference(x, edit):
    for i in range(4):
        hidden = edit("hidden", np.sin(x * i), (i,))
        x = x + hidden
    return x, {"hidden": hidden}


def condition(x):
    return lax.while_loop(lambda x: tap("total", x.sum()) < 9, lambda x: x + 1, x)


def kernel(x):
    def body(source, target):
        target[...] = bare(source[...])

    return pallas.pallas_call(body, jax.ShapeDtypeStruct(x.shape, x.dtype), interpret=True)(x)


def branch(x):
    return lax.cond(
        x.sum() > 0,
        lambda x: 2 * tap("positive", jnp.sin(x)),
        lambda x: 3 * tap("negative", jnp.cos(x)),
        x,
    )


def branch_reference(x, edit):
    hidden, zeros = edit("positive", np.sin(x), ()), np.zeros(3)
    captured = {"positive": hidden, "positive?": True, "negative": zeros, "negative?": False}
    return 2 * hidden, captured


@jax.custom_jvp
def custom_jvp(x):
    return bare(x)


@custom_jvp.defjvp
def _(primals, tangents):
    return custom_jvp(*primals), 10 * tangents[0]


@jax.custom_vjp
def custom_vjp(x):
    return bare(x)


custom_vjp.defvjp(lambda x: (custom_vjp(x), None), lambda _, cotangent: (10 * cotangent,))


@functools.cache
def mesh():
    return Mesh(np.array(jax.devices()[:4]), ("data",))


def mapped(x):
    spec = PartitionSpec("data")
    return jax.shard_map(bare, mesh=mesh(), in_specs=spec, out_specs=spec)(x)


def mapped_reference(x, edit):
    hidden = np.stack(
        [edit("hidden", np.sin(part), (i,)) for i, part in enumerate(x.reshape(4, 2))]
    )
    return hidden.reshape(8) ** 3 + x, {"hidden": hidden}


def steps(x):
    return lax.scan(lambda x, _: (x + tap("hidden", jnp.sin(x)), None), x, length=3)[0]


def second_step_reference(x, edit):
    x = x + np.sin(x)
    hidden = edit("1.hidden", np.sin(x), (1,))
    x = x + hidden
    return x + np.sin(x), {"1.hidden": hidden}


def mapped_steps(x):
    spec = PartitionSpec("data")
    return jax.shard_map(steps, mesh=mesh(), in_specs=spec, out_specs=spec)(x)


def mapped_steps_reference(x, edit):
    hidden = np.zeros((4, 2))

    def of_device(i):
        def edit_here(name, value, index):
            hidden[i] = edit(name, value, (i, *index))
            return hidden[i]

        return second_step_reference(x.reshape(4, 2)[i], edit_here)[0]

    out = np.concatenate([of_device(i) for i in range(4)])
    return out, {"1.hidden": hidden}


def mapped_loop(x):
    spec = PartitionSpec("data")
    return jax.shard_map(loop, mesh=mesh(), in_specs=spec, out_specs=spec)(x)


def mapped_loop_reference(x, edit):
    hidden = np.zeros((4, 2))
    for i in range(4):
        for device, part in enumerate(x.reshape(4, 2)):
            hidden[device] = edit("hidden", np.sin(part * i), (device, i))
        x = x + hidden.ravel()
    return x, {"hidden": hidden}


def sharded(x):
    sharding = NamedSharding(mesh(), PartitionSpec("data"))
    return jax.jit(bare, in_shardings=sharding, out_shardings=sharding)(x)


class LinenBlock(linen.Module):
    @linen.compact
    def __call__(self, x):
        return self.again(x)

    def again(self, x):
        return bare(x)


class LinenModel(linen.Module):
    def setup(self):
        self.blocks = [LinenBlock()]

    def __call__(self, x):
        return self.blocks[0](x)


def under_linen(x):
    return LinenModel().apply({}, x)


class NNXModel(nnx.Module):
    def __init__(self):
        self.one = nnx.Param(jnp.ones(()))

    def __call__(self, x):
        return bare(x * self.one[...].astype(x.dtype))


class EquinoxModel(eqx.Module):
    one: jax.Array

    def __call__(self, x):
        return bare(x * self.one.astype(x.dtype))


def under_nnx(x):
    return NNXModel()(x)


def under_equinox(x):
    return eqx.filter_jit(EquinoxModel(jnp.ones(())))(x)


# Transformations around a transformed function, which returns a result and captured values.


def as_it_is(function):
    return function


def differentiated(function):
    def of_x(x):
        grads, captured = jax.grad(lambda x: _summed(function(x)), has_aux=True)(x)
        return grads, captured

    return of_x


def _summed(pair):
    return pair[0].sum(), pair[1]


def differentiated_reference(function):
    return lambda x: (differences(lambda x: function(x)[0].sum(), x), function(x)[1])


def with_custom_gradient(function):
    return lambda x: (np.full_like(x, 10.0), function(x)[1])


def batched_reference(function):
    def of_batch(x):
        rows = [function(row) for row in x]
        captured = {name: np.stack([row[1][name] for row in rows]) for name in rows[0][1]}
        return np.stack([row[0] for row in rows]), captured

    return of_batch


def in_threads(function):
    def of_x(x):
        with ThreadPoolExecutor(4) as pool:
            first, *others = pool.map(function, [x] * 4)
        for other in others:
            jax.tree.map(np.testing.assert_array_equal, first, other)
        return first

    return of_x


FAIL = []


def failing(x):
    x = bare(x)
    if FAIL:
        raise KeyboardInterrupt
    return x


def after_a_failure(function):
    def of_x(x):
        FAIL.append(True)
        with pytest.raises(KeyboardInterrupt):
            function(x)
        FAIL.clear()
        return function(x)

    return of_x


def under_explicit_axes(function):
    def of_x(x):
        set_mesh = jax.set_mesh if hasattr(jax, "set_mesh") else jax.sharding.use_mesh
        with set_mesh(jax.make_mesh((4,), ("data",), axis_types=(AxisType.Explicit,))):
            return jax.jit(function)(jax.sharding.reshard(x, PartitionSpec("data")))

    return of_x


def donating(function):
    return lambda x: jax.jit(function, donate_argnums=0)(x + 0)


@dataclasses.dataclass(frozen=True)
class Case:
    title: str
    fn: Callable[[Any], Any]
    reference: Callable[..., Any] = bare_reference
    x: np.ndarray = dataclasses.field(default_factory=lambda: X)
    pattern: str = "*"
    outside: Callable[..., Any] = as_it_is
    outside_reference: Callable[..., Any] = as_it_is
    capture: str = YES
    intervene: str = YES
    gradients: str = YES
    dtype: str = "float32"


REFUSED = "refused: "
DIFFERENTIATED = REFUSED + "it was differentiated before"
CUSTOM = REFUSED + "own rule an edit would bypass"
UNSEEN = REFUSED + "it lies in the condition"
KERNEL = REFUSED + "it lies inside 'pallas_call'"
ROWS = {"x": X2, "outside_reference": batched_reference}
INNER_GRAD = {
    "reference": gradient_reference,
    "intervene": DIFFERENTIATED,
    "gradients": DIFFERENTIATED,
}

CASES = [
    Case("eager, a bare function", bare),
    Case("`jit` outside", bare, outside=jax.jit),
    Case("`jit` inside", jax.jit(bare)),
    Case(
        "`grad` outside", bare, outside=differentiated, outside_reference=differentiated_reference
    ),
    Case("`grad` inside", gradient, **INNER_GRAD),
    Case(
        "`grad` of `jit` of `checkpoint` inside",
        jax.grad(lambda x: jax.jit(jax.checkpoint(bare))(x).sum()),
        **INNER_GRAD,
    ),
    Case("`vmap` outside", bare, outside=jax.vmap, **ROWS),
    Case("`vmap` inside: a leading axis", jax.vmap(bare), x=X2),
    Case(
        "`vmap` of another axis inside: a leading axis too",
        jax.vmap(bare, 1, 1),
        other_axis_reference,
        x=X2,
    ),
    Case("`scan` over layers", lambda x: stack(layer, x), stack_reference),
    Case(
        "`scan` over layers, one asked for by its number",
        lambda x: stack(layer, x),
        one_reference,
        pattern="layers.2.*",
    ),
    Case("the same layers unrolled", unrolled, unrolled_reference),
    Case("`scan` over `checkpoint`", lambda x: stack(jax.checkpoint(layer), x), stack_reference),
    Case(
        "`vmap` of `scan`: loops first, then the batch", jax.vmap(decoder), decoders_reference, x=X2
    ),
    Case("`scan` as a decoder, backwards", decoder, decoder_reference),
    Case("`scan` in `scan`", nested, nested_reference),
    Case(
        "`while_loop`: the last iteration",
        loop,
        loop_reference,
        gradients=REFUSED + "no reverse derivative",
    ),
    Case(
        "the condition of a `while_loop`",
        condition,
        capture=UNSEEN,
        intervene=UNSEEN,
        gradients=UNSEEN,
    ),
    Case("a Pallas kernel", kernel, capture=KERNEL, intervene=KERNEL, gradients=KERNEL),
    Case("`cond`: zeros and a flag where untaken", branch, branch_reference),
    Case("`checkpoint` (remat)", jax.checkpoint(bare)),
    Case(
        "`custom_jvp`: its derivative stays in force",
        custom_jvp,
        outside=differentiated,
        outside_reference=with_custom_gradient,
        intervene=CUSTOM,
        gradients=CUSTOM,
    ),
    Case(
        "`custom_vjp`: its derivative stays in force",
        custom_vjp,
        outside=differentiated,
        outside_reference=with_custom_gradient,
        intervene=CUSTOM,
        gradients=CUSTOM,
    ),
    Case(
        "`shard_map` on four devices: a leading axis",
        mapped,
        mapped_reference,
        x=LAYERS.ravel()[:8],
    ),
    Case(
        "`scan` in `shard_map`, one step asked for",
        mapped_steps,
        mapped_steps_reference,
        x=LAYERS.ravel()[:8],
        pattern="1.hidden",
    ),
    Case(
        "`while_loop` in `shard_map`",
        mapped_loop,
        mapped_loop_reference,
        x=LAYERS.ravel()[:8],
        gradients=REFUSED + "no reverse derivative",
    ),
    Case(
        "a mesh with explicit axes, one step of a `scan` asked for",
        steps,
        second_step_reference,
        x=LAYERS.ravel()[:8],
        pattern="1.hidden",
        outside=under_explicit_axes,
    ),
    Case("`jit` with shardings on four devices", sharded, x=LAYERS.ravel()[:8]),
    Case("a function used twice: `name`, `name#1`", twice, twice_reference),
    Case("an exception in the middle leaves nothing behind", failing, outside=after_a_failure),
    Case("four threads at once", bare, outside=in_threads),
    Case("float64", bare, dtype="float64"),
    Case("bfloat16", bare, dtype="bfloat16"),
    Case("donated buffers", bare, outside=donating),
    Case("donated buffers inside", jax.jit(bare, donate_argnums=0)),
    Case("Linen", under_linen, functools.partial(bare_reference, name="blocks.0.hidden")),
    Case("NNX", under_nnx),
    Case("Equinox", under_equinox),
]


def unedited(name, value, index):
    return value


def scaled(name, value, index):
    """An edit that differs from step to step."""
    return value * (2 + sum(index))


def differences(function, x, step=1e-5):
    """Central differences."""
    grads = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        shift = np.zeros_like(x)
        shift[i] = step
        grads[i] = (function(x + shift) - function(x - shift)) / (2 * step)
    return grads


def reference_gradients(case, x):
    """Perturb each captured number in turn."""

    def with_added(of_name, added):
        def edit(name, value, index):
            part = added[index[: added.ndim - value.ndim]]
            return value + part * (name == of_name)

        return case.reference(x, edit)[0].sum()

    return {
        name: differences(functools.partial(with_added, name), np.zeros_like(values))
        for name, values in case.reference(x, unedited)[1].items()
        if not name.endswith("?")
    }


def measured(case, column, x):
    """Return the result of the library, `(out, captured)`."""

    def edit(value, site):
        return scaled(site.name, value, site.index).astype(value.dtype)

    functions = {
        "capture": capture(case.fn, case.pattern),
        "intervene": lambda x: (intervene(case.fn, {case.pattern: edit})(x), {}),
        "gradients": lambda x: _no_result(
            activation_grads(lambda x: case.fn(x).sum(), case.pattern)(x)
        ),
    }
    return case.outside(functions[column])(x)


def _no_result(captured):
    return sum(value.sum() for value in captured.values()), captured


def expected(case, column, x):
    """Return the same, computed by NumPy."""
    functions = {
        "capture": lambda x: case.reference(x, unedited),
        "intervene": lambda x: (case.reference(x, scaled)[0], {}),
        "gradients": lambda x: _no_result(reference_gradients(case, x)),
    }
    return case.outside_reference(functions[column])(x)


COLUMNS = ("capture", "intervene", "gradients")
CELLS = [pytest.param(case, c, id=f"{case.title}-{c}") for case in CASES for c in COLUMNS]


@pytest.mark.parametrize(("case", "column"), CELLS)
def test_cell(case, column):
    outcome = getattr(case, column)
    with _enable_x64(case.dtype == "float64"):
        x = jnp.asarray(case.x, case.dtype)
        if outcome != YES:
            with pytest.raises(HookError, match=re.escape(outcome.removeprefix(REFUSED))):
                measured(case, column, x)
            return
        out, captured = measured(case, column, x)
    expected_out, expected_captured = expected(case, column, case.x)
    tolerance = {"float64": 1e-9, "float32": 1e-4, "bfloat16": 3e-2}[case.dtype]
    assert set(captured) == set(expected_captured)
    for actual, reference in [
        (out, expected_out),
        *((captured[n], expected_captured[n]) for n in captured),
    ]:
        assert actual.dtype == case.dtype or actual.dtype == bool
        assert np.shape(actual) == np.shape(reference)
        np.testing.assert_allclose(
            np.asarray(actual, float), np.asarray(reference, float), rtol=tolerance, atol=tolerance
        )


def _enable_x64(enabled):
    return (jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64)(enabled)


def render():
    lines = [
        "# Where hooks work",
        "",
        "Every cell is a test: *yes* means that the values, the edited result or the gradients "
        "are compared with NumPy; *refused* that the library raises an error with these words. "
        "[Hooks](hooks.md) explains the terms.",
        "",
        "| where the hook point lies | `capture` | `intervene` | `activation_grads` |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {case.title} | {case.capture} | {case.intervene} | {case.gradients} |" for case in CASES
    ]
    return "\n".join(lines) + "\n"


def test_the_documented_table_is_this_one():
    assert TABLE.read_text() == render(), "rewrite it with: python tests/hooks/test_table.py"


if __name__ == "__main__":
    TABLE.write_text(render())
