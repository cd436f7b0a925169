"""Names of hook points, and the patterns that match them."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen
from jax import lax

from attn_jax.hooks import HookError, capture, hook_points, intervene, tap
from attn_jax.hooks.patterns import key, match

X = jnp.ones((3, 5))


class Mixer(linen.Module):
    @linen.compact
    def __call__(self, x):
        return tap("hidden", linen.Dense(5)(x))


class Layer(linen.Module):
    def setup(self):
        self.mixer = Mixer()

    def __call__(self, x, _=None):
        return self.mix(x), None

    def mix(self, x):
        return self.mixer(x)


class Tower(linen.Module):
    """Layers one by one, scanned, and one more that is used twice."""

    scanned: bool = False

    def setup(self):
        if self.scanned:
            axes = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
            self.layers = linen.scan(linen.remat(Layer), length=2, **axes)()
        else:
            self.layers = [Layer() for _ in range(2)]
        self.shared = Mixer()

    def __call__(self, x):
        x = self.shared(self.lower(x))
        return self.shared(x)

    def lower(self, x):
        if self.scanned:
            return self.layers(x)[0]
        for layer in self.layers:
            x, _ = layer(x)
        return x


class Steps(linen.Module):
    """A decoder that goes over time by scanning a method of its own."""

    def setup(self):
        self.mixer = Mixer()

    def step(self, state, x):
        return self.mixer(state + x[None]), None

    def __call__(self, x):
        scan = linen.scan(
            lambda self, state, x: self.step(state, x),
            variable_broadcast="params",
            split_rngs={"params": False},
        )
        return scan(self, x, x)[0]


class Whole(linen.Module):
    def setup(self):
        self.decoder = Steps()

    def __call__(self, x):
        return self.decoder(x)


def names(fn, *args):
    return [point.name for point in hook_points(fn)(*args)]


def applied(model):
    variables = model.init(jax.random.key(0), X)
    return lambda x: model.apply(variables, x)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Mixer(), ["hidden"]),
        (Mixer(name="given"), ["given.hidden"]),
        (
            Tower(),
            ["layers.0.mixer.hidden", "layers.1.mixer.hidden", "shared.hidden", "shared.hidden#1"],
        ),
        (Tower(scanned=True), ["layers.*.mixer.hidden", "shared.hidden", "shared.hidden#1"]),
        (Whole(), ["decoder.*.mixer.hidden"]),
    ],
    ids=["root", "named root", "unrolled", "scanned", "scanned method"],
)
@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.checkpoint, jax.vmap])
def test_linen_names(model, expected, wrap):
    x = jnp.ones((2, *X.shape)) if wrap is jax.vmap else X
    assert names(wrap(applied(model)), x) == expected


def test_a_gradient_has_the_same_names():
    fn = applied(Tower(scanned=True))
    assert names(jax.grad(lambda x: jax.checkpoint(fn)(x).sum()), X) == names(fn, X)


def test_scopes_of_a_bare_function():
    def fn(x):
        with jax.named_scope("encoder"), jax.named_scope("block_12"):
            return tap("hidden.state", x)

    assert names(fn, X) == ["encoder.block.12.hidden.state"]


def test_branches_share_a_name_if_their_values_are_alike():
    def fn(x, other):
        return lax.cond(
            x.sum() > 0,
            lambda x: tap("value", x).sum() + tap("value", x).sum(),
            lambda x: tap("value", x if other else x[0]).sum(),
            x,
        )

    assert names(lambda x: fn(x, True), X) == ["value", "value#1", "value"][:2]
    assert names(lambda x: fn(x, False), X) == ["value", "value#1", "value#2"]


@pytest.mark.parametrize(
    ("pattern", "name", "lengths", "expected"),
    [
        ("*", "a.b", (), [()]),
        ("*.b", "b", (), [()]),
        ("*.b", "ab", (), []),
        ("a.b", "a.b", (), [()]),
        ("a.b#1", "a.b#1", (), [()]),
        ("a.b", "a.b#1", (), []),
        ("*.b", "a.b#1", (), [()]),
        ("*.b#1", "a.b", (), []),
        ("layers.2.[bw]", "layers.*.w#1", (3,), [(2,)]),
        ("*.w", "layers.*.w", (3,), [(None,)]),
        ("layers.*.w", "layers.*.w", (3,), [(None,)]),
        ("layers.2.w", "layers.*.w", (3,), [(2,)]),
        ("layers.3.w", "layers.*.w", (3,), []),
        ("layers.?.w", "layers.*.w", (12,), [(i,) for i in range(10)]),
        ("layers.[!1].w", "layers.*.w", (3,), [(0,), (2,)]),
        ("*.layers.1.w", "t.*.layers.*.w", (5, 3), [(None, 1)]),
        ("t.4.layers.*", "t.*.layers.*.w", (5, 3), [(4, None)]),
        ("t.4.layers.0.w", "t.*.layers.*.w", (5, 3), [(4, 0)]),
    ],
)
def test_patterns(pattern, name, lengths, expected):
    assert match(pattern, name, lengths) == expected


def test_keys_write_out_what_was_chosen():
    assert key("t.*.layers.*.w", (None, 1)) == "t.*.layers.1.w"


@pytest.mark.parametrize("scanned", [False, True])
def test_one_spec_serves_unrolled_and_scanned_models(scanned):
    fn = applied(Tower(scanned))
    x = jnp.arange(15.0).reshape(3, 5)
    _, captured = capture(fn, ["layers.1.*", "shared.hidden"])(x)
    assert list(captured) == ["layers.1.mixer.hidden", "shared.hidden"]
    assert captured["layers.1.mixer.hidden"].shape == (3, 5)
    edits = {"layers.1.*": lambda value, site: 0 * value}
    out, edited = capture(intervene(fn, edits), "*")(x)
    assert not jnp.array_equal(out, fn(x))
    stack = edited["layers.*.mixer.hidden"] if scanned else None
    first, last = stack if scanned else (edited[f"layers.{i}.mixer.hidden"] for i in (0, 1))
    assert first.any()
    assert not last.any()


def test_a_pattern_that_matches_nothing_says_what_there_is():
    message = (
        r"no hook point matches 'layers.\*.mixer.hiden'; did you mean 'layers.0.mixer.hidden'\? "
        r"4 points exist: layers.0.mixer.hidden, .*shared.hidden#1 \(hook_points"
    )
    with pytest.raises(HookError, match=message):
        capture(applied(Tower()), "layers.*.mixer.hiden")(X)


def test_a_function_without_hook_points_says_how_to_place_them():
    with pytest.raises(HookError, match=r"reaches none.*x = tap\(name, x\)"):
        capture(jnp.sin)(X)


@pytest.mark.parametrize("name", ["", "a*", "a#1", "a?", "[a]"])
def test_names_that_would_be_patterns_are_refused(name):
    with pytest.raises(HookError, match="cannot name a hook point"):
        tap(name, X)
