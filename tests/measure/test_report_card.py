"""The card of models whose maps are known, by construction, to be right or wrong."""

import json
import re
from html.parser import HTMLParser

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from attn_jax import hooks, measure, nn
from attn_jax.measure.card import lines, verdicts
from attn_jax.measure.card.statistics import Interval

N, K, C = 61, 11, 3


def draw(seed):
    """Draw keys of which only one holds the class; the scores know which.

    The total of each row of weights and the scale of the logits are inputs too, so that faults in
    them are met by the program that is compiled already.
    """
    kinds, noise, places = jax.random.split(jax.random.key(seed), 3)
    decides = jax.random.randint(places, (N,), 0, K)
    label = jax.random.randint(kinds, (N,), 0, C)
    is_it = jax.nn.one_hot(decides, K)
    others = jax.random.randint(noise, (N, K), 0, C)
    says = jnp.where(is_it == 1, label[:, None], others)
    return {"says": says, "decides": is_it, "total": each(1), "scale": each(6)}, label


def each(value):
    return np.full(N, value, np.float32)


def attends(inputs):
    weights = inputs["total"][:, None] * jax.nn.softmax(4 * inputs["decides"])
    weights = hooks.tap("look.weights", weights)
    logits = jnp.einsum("nk,nkc->nc", weights, jax.nn.one_hot(inputs["says"], C))
    return inputs["scale"][:, None] * logits


INPUTS, _ = draw(0)
OBJECTS = INPUTS["decides"] == 1


def ignores(inputs):
    """Classify without the attention, which nevertheless points at the right key."""
    weights = hooks.tap("look.weights", jax.nn.softmax(4 * inputs["decides"]))
    label = jnp.einsum("nk,nkc->nc", inputs["decides"], jax.nn.one_hot(inputs["says"], C))
    return 6 * label + 1e-3 * weights.sum(-1, keepdims=True)


def elsewhere(inputs):
    """Attend to a key that does not matter, with a little weight on the one that decides."""
    other = jnp.roll(inputs["decides"], 1, axis=1)
    weights = hooks.tap("look.weights", jax.nn.softmax(6 * other + 2 * inputs["decides"]))
    said = jax.nn.one_hot(inputs["says"], C) * inputs["decides"][..., None]
    return 60 * jnp.einsum("nk,nkc->nc", weights, said)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_believes_a_model_that_attends_to_what_decides(seed):
    inputs, _ = draw(seed)
    card = measure.report_card(
        attends, inputs, objects=inputs["decides"] == 1, rng=jax.random.key(seed)
    )
    assert card.reads == "supports"
    for name in ("comprehensiveness", "sufficiency", "deletion", "insertion", "permuted"):
        assert card[name].reads == "supports", card[name]
    assert card["pointing_game"].value == 1.0
    assert card["pointing_game"].uniform == pytest.approx(1 / K, abs=1e-6)
    expected = np.exp(4) / (np.exp(4) + K - 1)
    assert card["mass_on_object"].value == pytest.approx(expected, abs=1e-5)


def test_what_is_not_defined_agrees_with_nothing():
    card = measure.report_card(ignores, INPUTS)
    assert card.reads == "against"
    for name in ("permuted", "ranking", "overlap", "top_key"):
        assert (card[name].reads, card[name].verdict) == ("unclear", "not defined for any example")
        line = next(line for line in card.to_dict()["lines"] if line["name"] == name)
        assert line["value"] is None
    assert str(card).count("not defined for any example") == 4
    assert "nan" not in str(card)
    for name in ("sufficiency", "deletion", "insertion"):
        assert card[name].reads == "unclear", card[name]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"scale": each(np.nan)}, "logits that are not finite, first for example 0"),
        ({"scale": each(0)}, "the score is constant: every logit is the mean of all"),
        ({"total": each(1.5)}, "the weights are not distributions: the sum of a row is 0.5"),
        ({"total": each(-1)}, "no weight may be negative"),
    ],
    ids=["not finite", "constant", "not distributions", "negative"],
)
def test_logits_and_weights_that_mean_nothing_are_refused(fault, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        measure.report_card(attends, INPUTS | fault, objects=OBJECTS)


def test_a_card_prints_shows_and_saves_itself():
    card = measure.report_card(attends, INPUTS, objects=OBJECTS)
    printed = str(card).splitlines()
    assert printed[0] == card.verdict
    assert [line[2:].partition("?")[0] for line in printed[1:4]] == [
        "Does the output depend on this attention",
        "Does the map's ranking find what matters",
        "Does the map's mass show how much",
    ]
    assert len(printed) == len(card.lines) + len(card.notes) + 6
    saved = json.loads(json.dumps(card.to_dict(), allow_nan=False))
    assert saved["lines"][0]["name"] == "through"
    assert saved["answers"]["mass"]["reads"] == "supports"
    cells = []
    reader = HTMLParser()
    reader.handle_starttag = lambda tag, _: cells.append(tag)
    reader.feed(card._repr_html_())
    assert cells.count("tr") == len(card.lines) + 1
    with pytest.raises(KeyError, match="no line 'delusion'; it has through"):
        card["delusion"]


def test_everything_that_runs_the_model_is_compiled_once():
    compiled, traced = [], []

    def fn(inputs):
        traced.append(1)
        return attends(inputs)

    # The first card also compiles small functions around the program; this does so in advance.
    measure.report_card(attends, INPUTS, objects=OBJECTS)

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        first = measure.report_card(fn, INPUTS, objects=OBJECTS)
        assert len(compiled) == 1
        before = len(traced)
        second = measure.report_card(fn, INPUTS, objects=OBJECTS)
        assert len(compiled) == 1
        # Listing the hook points traces the model and runs nothing.
        assert len(traced) - before == 2
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert first == second


def test_padding_changes_nothing_that_is_not_drawn():
    wide = {name: jnp.pad(INPUTS[name], ((0, 0), (0, 3))) for name in ("says", "decides")}
    mask = np.arange(K + 3) < np.full((N, 1), K)

    def padded(inputs):
        scores = jnp.where(jnp.array(mask), 4 * inputs["decides"], -jnp.inf)
        weights = hooks.tap("look.weights", jax.nn.softmax(scores))
        return 6 * jnp.einsum("nk,nkc->nc", weights, jax.nn.one_hot(inputs["says"], C))

    one = measure.report_card(attends, INPUTS, resample=None)
    other = measure.report_card(padded, wide, mask=mask, resample=None)
    # Ties between the keys that do not decide are broken at random, but the top key is not tied.
    for name in ("gradient", "integrated_gradients", "leave_one_out"):
        assert one[name].value == pytest.approx(other[name].value, abs=1e-5)
    assert one["comprehensiveness"].value == pytest.approx(
        other["comprehensiveness"].value, abs=0.03
    )
    assert one["permuted"].value == pytest.approx(other["permuted"].value, abs=0.05)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("model", [ignores, elsewhere])
def test_it_disbelieves_a_model_that_does_not(model, seed):
    inputs, _ = draw(seed)
    card = measure.report_card(model, inputs, rng=jax.random.key(seed))
    assert card.reads == "against"
    assert card.verdict.startswith("Do not read this map as an explanation")
    if model is ignores:
        assert card["through"].value < 1e-3
        assert card.answers["depends"].reads == "against"
        assert card["adversarial"].value > 0.5
    else:
        assert card.answers["depends"].reads == "supports"
        assert card.answers["mass"].reads == "against"
        assert card["top_key"].value > 0.9


def single_logit(inputs):
    return attends(inputs)[:, :1] - 3


def test_a_single_logit_gets_the_card_of_two():
    def flat(inputs):
        return single_logit(inputs)[:, 0]

    def two(inputs):
        half = single_logit(inputs) / 2
        return jnp.concatenate([-half, half], -1)

    inputs, label = draw(0)
    options = {"target": np.asarray(label == 0).astype(int), "objects": inputs["decides"] == 1}
    expected = measure.report_card(two, inputs, **options)
    assert expected.reads == "supports"
    for fn in (single_logit, flat):
        card = measure.report_card(fn, inputs, **options)
        assert card.verdict == expected.verdict
        for line, other in zip(card.lines, expected.lines, strict=True):
            assert line.reads == other.reads
            for field in ("value", "low", "high", "random", "uniform"):
                assert getattr(line, field) == pytest.approx(getattr(other, field), abs=1e-5)


def estimates(mean, low, high, *, difference, p=1e-3, defined=1.0):
    control = mean - difference
    return lines.Estimates(Interval(mean, low, high), control, None, difference, p, p, defined)


CONTROLLED = ["sufficiency", "deletion", "insertion", "pointing_game", "mass_on_object"]


@pytest.mark.parametrize("name", CONTROLLED)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_measure_that_ties_with_its_control_is_no_success(name, sign):
    tied = lines.line(name, estimates(1.0, 1.0, 1.0, difference=sign * 1e-7), {})
    assert tied.reads == "unclear", tied
    chance = lines.line(name, estimates(0.5, 0.4, 0.6, difference=sign * 0.1, p=0.2), {})
    assert chance.reads == "unclear", chance
    better = -1 if name in ("sufficiency", "deletion") else 1
    apart = lines.line(name, estimates(0.5, 0.4, 0.6, difference=sign * 0.1), {})
    assert apart.reads == ("supports" if sign == better else "against"), apart


@pytest.mark.parametrize("name", [*CONTROLLED, "comprehensiveness", "gradient"])
def test_a_measure_without_a_control_is_not_defined(name):
    line = lines.line(name, estimates(0.5, 0.4, 0.6, difference=np.nan), {})
    assert (line.reads, line.verdict) == ("unclear", "not defined for any example")


def test_a_measure_of_few_examples_says_so():
    line = lines.line("gradient", estimates(0.9, 0.8, 1.0, difference=0.9, defined=1 / 20), {})
    assert (line.reads, line.verdict) == ("unclear", "defined for only 5 % of the examples")


def test_too_few_examples_give_no_firm_verdict():
    few = verdicts.ENOUGH_EXAMPLES - 1
    card = measure.report_card(attends, jax.tree.map(lambda x: x[:few], INPUTS))
    assert card.reads == "unclear"
    assert card.verdict.startswith(f"Too few examples to tell: {few}")


class Layers(linen.Module):
    """Two layers of self-attention, in a scan or one after the other, and a mean over tokens."""

    scanned: bool

    @linen.compact
    def __call__(self, x):
        class Layer(linen.Module):
            @linen.compact
            def __call__(self, x, _):
                return x + nn.MultiHeadAttention(num_heads=2, name="attention")(x), None

        split = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
        if self.scanned:
            x, _ = linen.scan(Layer, length=2, **split)(name="layers")(x, None)
        else:
            for i in range(2):
                x, _ = Layer(name=f"layers_{i}")(x, None)
        return linen.Dense(3)(x.mean(1))


def test_heads_layers_and_scanned_stacks_are_one_map():
    x = jax.random.normal(jax.random.key(0), (7, 5, 8))
    scanned = Layers(scanned=True)
    variables = scanned.init(jax.random.key(1), x)
    stacked = variables["params"].pop("layers")
    unrolled = {f"layers_{i}": jax.tree.map(lambda p, i=i: p[i], stacked) for i in range(2)}
    params = {"params": {**variables["params"], **unrolled}}
    whole = {"params": {**variables["params"], "layers": stacked}}
    one = measure.report_card(lambda x: scanned.apply(whole, x), x)
    other = measure.report_card(lambda x: Layers(scanned=False).apply(params, x), x)
    assert one.attention == ("layers.*.attention.weights",)
    assert other.attention == ("layers.0.attention.weights", "layers.1.attention.weights")
    for a, b in zip(one.lines, other.lines, strict=True):
        # A pair of keys whose order rounding swaps moves the tau of one in seven examples.
        assert a.value == pytest.approx(b.value, abs=0.01), a.name


def random_inside(inputs):
    return attends(inputs) + np.random.default_rng().normal()


def random_callback(inputs):
    shape = jax.ShapeDtypeStruct((N, C), jnp.float32)
    noise = jax.pure_callback(
        lambda: np.float32(np.random.default_rng().normal(size=(N, C))), shape
    )
    return attends(inputs) + noise


@pytest.mark.parametrize(
    ("fn", "options", "message"),
    [
        (random_inside, {}, "fn is not deterministic: its logits differ by up to"),
        (random_callback, {}, "fn is not deterministic"),
        (
            attends,
            {"mask": np.zeros((N, K), bool)},
            f"mask leaves {N} of {N} examples without keys, first example 0",
        ),
        (
            attends,
            {"mask": np.ones((N, 5), bool)},
            f"mask has shape ({N}, 5), but the weights have {N}",
        ),
        (attends, {"objects": np.ones((N, 5), bool)}, f"objects has shape ({N}, 5), but the map"),
        (
            attends,
            {"target": np.full(N, C)},
            f"values from {C} to {C}; it must hold one class, from 0 to {C - 1}",
        ),
        (attends, {"target": np.full(N, -1)}, "values from -1 to -1; it must hold one class"),
        (attends, {"target": np.zeros(5, int)}, "target has shape (5,)"),
        (
            attends,
            {"metric": "logit_difference", "foil": np.ones(N, int), "target": np.ones(N, int)},
            "the score is constant: this metric is 0 for every example",
        ),
        (attends, {"randomization": True}, "the model closes over no floating-point array"),
        (lambda x: attends(x)[0], {}, f"fn returns logits of shape ({C},) for {N} inputs"),
        (attends, {"attention": "*.wieghts"}, "no hook point matches '*.wieghts'"),
    ],
)
def test_what_cannot_be_judged_is_refused(fn, options, message):
    with pytest.raises((ValueError, hooks.HookError), match=re.escape(message)):
        measure.report_card(fn, INPUTS, adversarial=False, **options)


def test_weights_that_are_no_distributions_can_be_judged_as_such():
    unnormalized = INPUTS | {"total": each(1.5)}
    card = measure.report_card(attends, unnormalized, normalized=False)
    assert all(np.isfinite(line.value) for line in card.lines)


def test_maps_of_several_sizes_are_refused():
    def two(inputs):
        hooks.tap("short.weights", jnp.full((N, 5), 0.2))
        return attends(inputs)

    with pytest.raises(
        ValueError, match=re.escape("different numbers of keys, {'short.weights': 5")
    ):
        measure.report_card(two, INPUTS)
