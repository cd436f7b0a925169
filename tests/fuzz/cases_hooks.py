"""A case for each public function of `hooks`: what is read and edited is the value of its name."""

import jax
import jax.numpy as jnp
import numpy as np
from cases import Case, close, double, draws, equal, floats, pick, softmax64
from cases_measure import REDUCERS
from cases_ops import TYPES

from attn_jax import hooks

STEPS = 3


def straight(x):
    return hooks.tap("out", 2 * hooks.tap("layer.hidden", jnp.tanh(x))) + 1


def scanned(x):
    def body(carry, _):
        return hooks.tap("layers.hidden", jnp.tanh(carry)) * 2, None

    return jax.lax.scan(body, x, None, length=STEPS)[0]


def looping(x):
    body = lambda carry: hooks.tap("hidden", jnp.tanh(carry)) * 2  # noqa: E731
    return jax.lax.fori_loop(0, STEPS, lambda _, carry: body(carry), x)


def branching(x):
    return jax.lax.cond(
        x.sum() > 0, lambda x: hooks.tap("up", 2 * x), lambda x: hooks.tap("down", -x), x
    )


def nested(x):
    return jax.checkpoint(jax.jit(straight))(x) + jax.vmap(straight)(x)


MODELS = straight, scanned, looping, branching, nested
ARGUMENTS = draws(model=pick(*MODELS), x=floats(2, 3), jitted=pick(False, True))


def maybe_jit(function, jitted):
    return jax.jit(function) if jitted else function


def run(function, model, x, jitted):
    return maybe_jit(function(model, "*"), jitted)(x)


def states(x):
    """The carry of the loops before each step."""
    carries = [double(x)]
    for _ in range(STEPS):
        carries.append(2 * np.tanh(carries[-1]))
    return np.stack(carries)


def plain(name):
    """Return the name of a hook point without the part that stands for the steps of a scan."""
    return name.replace("*.", "").replace(".*", "")


def values(model, x):
    """Return every named value of a model, in float64."""
    x = double(x)
    hidden, steps = np.tanh(x), np.tanh(states(x)[:-1])
    both = {"layer.hidden": hidden, "out": 2 * hidden}
    return {
        straight: both,
        scanned: {"layers.hidden": steps},
        looping: {"hidden": steps},
        branching: {
            "up": np.where(x.sum() > 0, 2 * x, 0),
            "down": np.where(x.sum() > 0, 0, -x),
            "up?": x.sum() > 0,
            "down?": x.sum() <= 0,
        },
        nested: both | {f"{name}#1": value for name, value in both.items()},
    }[model]


def output(model, x):
    x = double(x)
    return {
        straight: 2 * np.tanh(x) + 1,
        scanned: states(x)[-1],
        looping: states(x)[-1],
        branching: np.where(x.sum() > 0, 2 * x, -x),
        nested: 4 * np.tanh(x) + 2,
    }[model]


def check_capture(result, model, x, jitted):
    out, captured = result
    close(out, output(model, x))
    expected = values(model, x)
    assert {plain(name) for name in captured} == set(expected), captured.keys()
    for name, value in captured.items():
        close(value, expected[plain(name)])


def zeroed(function, model, x, jitted):
    return maybe_jit(function(model, {"*": lambda value, site: 0 * value}), jitted)(x)


def check_zeroed(result, model, x, jitted):
    ends = {straight: 1.0, scanned: 0.0, looping: 0.0, branching: 0.0, nested: 2.0}
    close(result, np.full(np.shape(x), ends[model]))


def identity(function, model, x, jitted):
    return maybe_jit(function(model, {"*": lambda value, site: value}), jitted)(x)


def gradient(function, x, jitted):
    return maybe_jit(function(lambda x: straight(x).sum(), "*"), jitted)(x)


def patched(function, donor, x, positions):
    weights = lambda x: hooks.tap("weights", x) * 1.0  # noqa: E731
    edit = function(donor, heads=1, positions=positions)
    return hooks.intervene(weights, {"weights": edit})(x)


def check_patched(result, donor, x, positions):
    expected = x.copy()
    rows = range(x.shape[-2]) if positions is None else np.ravel(positions)
    expected[:, 1, rows] = donor[:, 1, rows]
    equal(result, expected)


def attends(x):
    x = jnp.asarray(x, float)  # jax.nn.softmax of integers warns by itself
    return jax.nn.softmax(x @ x.T) @ x


def check_attention(result, x):
    out, captured = result
    weights = softmax64(double(x) @ double(x).T)
    (found,) = captured.values()
    close(np.reshape(found, weights.shape), weights)
    close(out, weights @ double(x))


class Doubled:
    """A value of which twice is a hook point."""

    leaves = ("twice", "value")
    observations = ("twice",)

    def derive(self, leaf, operands):
        return operands["half"] * (2 if leaf == "twice" else 1)

    def rewrite(self, leaf, edited, operands):
        return {**operands, leaf: edited}

    def rows(self, operands, start, size):
        return operands


DOUBLED = Doubled()


def derived(function, x):
    return hooks.capture(lambda x: function(DOUBLED, x, {"half": x}), ["twice", "value"])(x)


def check_derived(result, x):
    equal(result[1]["twice"], 2 * x)
    equal(result[1]["value"], x)


HOOKS = (
    dict.fromkeys(
        ("DerivedTap", "FoundAttention", "HookError", "HookPoint", "Site", "SiteReducer"), TYPES
    )
    | REDUCERS
    | {
        "activation_grads": Case(
            draws(x=floats(2, 3), jitted=pick(False, True)),
            lambda result, x, jitted: [
                equal(result["out"], np.ones_like(x)),
                equal(result["layer.hidden"], 2 * np.ones_like(x)),
            ],
            gradient,
        ),
        "capture": Case(ARGUMENTS, check_capture, run),
        "find_attention": Case(
            draws(x=floats(2, 3)),
            lambda result, x: equal(len(result), 1),
            lambda function, x: function(attends)(x),
        ),
        "hook_points": Case(
            draws(model=pick(*MODELS), x=floats(2, 3)),
            lambda result, model, x: equal(
                sorted(plain(point.name) for point in result),
                sorted(name for name in values(model, x) if not name.endswith("?")),
            ),
            lambda function, model, x: function(model)(x),
        ),
        "intervene": Case(ARGUMENTS, check_zeroed, zeroed),
        "patch": Case(
            draws(
                donor=floats(2, 3, 4, 5), x=floats(2, 3, 4, 5), positions=pick(None, 0, [1, 2], -1)
            ),
            check_patched,
            patched,
        ),
        "tap": Case(
            draws(name=pick("a", "a.b", "注意"), value=floats(2, 3)),
            lambda result, name, value: equal(result, value),
        ),
        "tap_attention": Case(
            draws(x=floats(2, 3)),
            check_attention,
            lambda function, x: hooks.capture(function(attends), "*weights")(x),
        ),
        "tap_derived": Case(draws(x=floats(2, 3)), check_derived, derived),
    }
)
