"""Patching and its estimates, against the twin in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from streams import (
    CLEAN,
    CORRUPTED,
    HEADS,
    LAYERS,
    difference,
    model,
    scanned,
    twin,
    values_of,
)

from attn_jax import circuits
from attn_jax.hooks import HookError, freed

METRIC = circuits.logit_difference(4, 6)
PAIR = jnp.asarray(CLEAN), jnp.asarray(CORRUPTED)


def replacing(name, values, *index):
    """Return an edit of the twin that puts some values of another run in their place."""

    def edit(own, value):
        if own == name:
            value = value.copy()
            value[index] = values[name][index]
        return value

    return edit


def by_hand(leaf, base, donor, index, count):
    values = values_of(donor)
    return np.array(
        [
            [
                difference(twin(base, replacing(f"layers.{i}.{leaf}", values, *index(number))))
                for number in range(count)
            ]
            for i in range(LAYERS)
        ]
    )


@pytest.mark.parametrize("fn", [model, scanned], ids=["unrolled", "scanned"])
def test_positions_are_patched_one_by_one(fn):
    table = circuits.activation_patching(fn, *PAIR, METRIC, points="*.residual")
    expected = by_hand("residual", CORRUPTED, CLEAN, lambda t: np.s_[:, t], 5)
    np.testing.assert_allclose(table, expected, atol=2e-5)
    assert table.axes == ("layer", "position")
    assert table.names == ("layers.0.residual", "layers.1.residual")


def test_noising_of_heads_at_positions_from_the_end():
    table = circuits.activation_patching(
        model,
        *PAIR,
        METRIC,
        points="*.context",
        over=("head", "position"),
        positions=[-1, -3],
        direction="noising",
    )
    values = values_of(CORRUPTED)
    for i, head, p in np.ndindex(LAYERS, HEADS, 2):
        edit = replacing(f"layers.{i}.attention.context", values, slice(None), (-1, -3)[p], head)
        np.testing.assert_allclose(
            table.values[i, head, p], difference(twin(CLEAN, edit)), atol=2e-5
        )


def test_normalized_metrics_go_from_corrupted_to_clean():
    table = circuits.activation_patching(
        model, *PAIR, METRIC, points="*.residual", over=(), normalized=True
    )
    assert table.axes == ("layer",)
    np.testing.assert_allclose(table, [1, 1], atol=1e-4)


def test_texts_of_unequal_length_are_counted_from_their_own_ends():
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
    metric = circuits.logit_difference(4, 6, key_mask=jnp.asarray(mask))
    table = circuits.activation_patching(
        model, *PAIR, metric, points="layers.1.residual", positions=[-1, -2], key_mask=mask
    )
    values, ends = values_of(CLEAN), (5, 3)
    for column, back in enumerate((1, 2)):

        def edit(name, value, back=back):
            if name != "layers.1.residual":
                return value
            value = value.copy()
            for row, end in enumerate(ends):
                value[row, end - back] = values[name][row, end - back]
            return value

        logits = twin(CORRUPTED, edit)
        rows = np.stack([logits[row, end - 1] for row, end in enumerate(ends)])
        expected = (rows[:, 4] - rows[:, 6]).mean()
        np.testing.assert_allclose(table.values[0, column], expected, atol=2e-5)


def slope(base, change_of, size=1e-5):
    """Return the derivative of the metric along a change, by central differences in float64."""
    return (change_of(size) - change_of(-size)) / (2 * size)


@pytest.mark.parametrize("fn", [model, scanned], ids=["unrolled", "scanned"])
def test_attribution_is_the_derivative_along_the_difference(fn):
    table = circuits.attribution_patching(fn, *PAIR, METRIC, points="*.context", over=("head",))
    before, after = values_of(CORRUPTED), values_of(CLEAN)
    for i, head in np.ndindex(LAYERS, HEADS):
        name = f"layers.{i}.attention.context"

        def moved(size, name=name, head=head):
            def edit(own, value):
                if own == name:
                    value = value.copy()
                    value[:, :, head] += size * (after[name] - before[name])[:, :, head]
                return value

            return difference(twin(CORRUPTED, edit))

        np.testing.assert_allclose(table.values[i, head], slope(CORRUPTED, moved), atol=2e-5)


@pytest.mark.parametrize("leaf", ["query", "key"])
def test_the_softmax_is_computed_exactly(leaf):
    table = circuits.attribution_patching(
        model,
        *PAIR,
        METRIC,
        points=f"layers.1.attention.{leaf}",
        over=("head", "position"),
        exact_softmax=True,
    )
    name, weights = f"layers.1.attention.{leaf}", "layers.1.attention.weights"
    donor, base = values_of(CLEAN), values_of(CORRUPTED)
    for head, position in np.ndindex(HEADS, 5):
        edit = replacing(name, donor, slice(None), position, head)
        edited = {}

        def note(own, value, edit=edit, edited=edited):
            edited[own] = edit(own, value)
            return edited[own]

        twin(CORRUPTED, note)
        change = edited[weights] - base[weights]

        def moved(size, change=change):
            def shift(own, value):
                return value + size * change if own == weights else value

            return difference(twin(CORRUPTED, shift))

        expected = slope(CORRUPTED, moved)
        np.testing.assert_allclose(table.values[0, head, position], expected, atol=2e-5)


def test_stopped_gradients_bring_out_paths_that_cancel():
    def cancelling(x):  # layers.1 adds what layers.2 takes away
        from attn_jax.hooks import tap

        x = tap("layers.0.residual", x)
        up = tap("layers.1.mlp", 3 * x)
        down = tap("layers.2.mlp", -3 * x)
        return (up + down).sum()

    pair = jnp.ones((1, 2, 1)), jnp.zeros((1, 2, 1))
    options = {"points": "layers.0.residual", "over": ()}
    plain = circuits.attribution_patching(cancelling, *pair, lambda x: x, **options)
    dropped = circuits.attribution_patching(cancelling, *pair, lambda x: x, drop="*.mlp", **options)
    np.testing.assert_allclose(plain, [0], atol=1e-6)
    # |−6| with layer 1 stopped and |6| with layer 2 stopped, over the number of layers less one.
    np.testing.assert_allclose(dropped, [12], rtol=1e-6)


def test_paths_go_through_no_other_head():
    receiver, receiving = "layers.1.attention.query", 2
    table = circuits.path_patching(model, *PAIR, METRIC, {receiver: [receiving]})
    clean, corrupted = values_of(CLEAN), values_of(CORRUPTED)
    for head in range(HEADS):
        read = {}

        def freeze(name, value, head=head, read=read):
            if name.endswith("context"):
                value = clean[name].copy()
                if name == "layers.0.attention.context":
                    value[:, :, head] = corrupted[name][:, :, head]
            read[name] = value
            return value

        twin(CLEAN, freeze)
        edit = replacing(receiver, read, slice(None), slice(None), receiving)
        expected = difference(twin(CLEAN, edit)) - difference(twin(CLEAN))
        np.testing.assert_allclose(table.values[0, head], expected, atol=2e-5)
    assert table.names == ("layers.0.attention.context",)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: circuits.activation_patching(model, PAIR[0], PAIR[1][:, :4], METRIC),
            "the shapes",
        ),
        (
            lambda: circuits.activation_patching(model, *PAIR, METRIC, positions=[5]),
            "position 5 is none of the 5",
        ),
        (
            lambda: circuits.activation_patching(model, *PAIR, METRIC, over=("head",)),
            "has no axis of heads",
        ),
        (
            lambda: circuits.path_patching(
                model, *PAIR, METRIC, "layers.0.attention.query", senders="layers.1.*.context"
            ),
            "the sender 'layers.1.attention.context' comes after the last receiver",
        ),
        (
            lambda: circuits.attribution_patching(model, *PAIR, METRIC, exact_softmax=True),
            "exact_softmax is for hook points 'query' and 'key'",
        ),
        (lambda: circuits.logit_difference(1, 2, position=9)(jnp.ones((1, 3, 4))), "position 9"),
    ],
    ids=["shapes", "position", "heads", "sender", "softmax", "metric"],
)
def test_what_cannot_be_patched_is_said_in_a_line(call, message):
    with pytest.raises((HookError, ValueError), match=message):
        call()


PAIRED = {
    "activation_patching": {},
    "attribution_patching": {},
    "edge_attribution": {},
    "path_patching": {"receivers": "layers.1.attention.query"},
}


@pytest.mark.parametrize("verb", PAIRED)
def test_a_verb_is_one_program_compiled_once(verb, count_programs):
    def call():
        getattr(circuits, verb)(model, *PAIR, METRIC, **PAIRED[verb])

    call()  # JAX compiles its own small operations once
    freed.keep.cache_clear()
    assert count_programs(call) == 1
    assert count_programs(call) == 0


def test_metrics_by_hand():
    logits = jnp.log(jnp.array([[[0.5, 0.25, 0.25], [0.2, 0.3, 0.5]]]))
    np.testing.assert_allclose(circuits.probability(2)(logits), 0.5, rtol=1e-6)
    np.testing.assert_allclose(circuits.probability(0, position=0)(logits), 0.5, rtol=1e-6)
    expected = 0.2 * np.log(0.2 / 0.5) + 0.3 * np.log(0.3 / 0.25) + 0.5 * np.log(0.5 / 0.25)
    np.testing.assert_allclose(circuits.kl(logits)(logits[:, 0]), expected, rtol=1e-5)
    assert jax.jit(circuits.logit_difference(2, 0))(logits) > 0
