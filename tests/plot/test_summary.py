import types

import numpy as np
import pytest

from attn_jax import plot

RNG = np.random.default_rng(0)


def of_two_heads(**changes):
    fields = {
        "pooled": RNG.random((2, 3, 5)),
        "received": RNG.random((2, 11)),
        "entropy": RNG.random((2, 7)),
        "distance": RNG.random((2, 7)),
        "max_logit": RNG.normal(size=(2, 7)),
        "top_weights": None,
    }
    return types.SimpleNamespace(**(fields | changes))


def titles(figure):
    return [ax.get_title(loc="left") for ax in figure.axes if ax.get_title(loc="left")]


def test_every_field_gets_a_panel_and_every_head_a_line():
    drawn = of_two_heads()
    figure = plot.summary(drawn)
    assert titles(figure) == [
        "mean weight of each tile",
        "received mass",
        "entropy, nats",
        "mean distance",
        "largest score",
    ]
    (image,) = figure.axes[0].images
    pooled = [
        [(drawn.pooled[0, i, j] + drawn.pooled[1, i, j]) / 2 for j in range(5)] for i in (0, 1, 2)
    ]
    np.testing.assert_allclose(image.get_array(), pooled)
    received = next(ax for ax in figure.axes if ax.get_title(loc="left") == "received mass")
    for head, line in enumerate(received.lines):
        np.testing.assert_array_equal(line.get_ydata(), drawn.received[head])


def test_what_was_not_asked_for_is_left_out():
    nothing = dict.fromkeys(("pooled", "received", "entropy", "distance", "max_logit"))
    assert titles(plot.summary(of_two_heads(**nothing | {"entropy": RNG.random((1, 7))}))) == [
        "entropy, nats"
    ]
    only_map = of_two_heads(**nothing | {"pooled": RNG.random((1, 3, 5))})
    assert titles(plot.summary(only_map)) == ["mean weight of each tile"]
    with pytest.raises(ValueError, match="none of pooled, received, entropy, distance, max_logit"):
        plot.summary(of_two_heads(**nothing))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("pooled", RNG.random((4, 2, 3, 5)), r"pooled has shape \(4, 2, 3, 5\); \(heads, tile row"),
        ("pooled", -RNG.random((2, 3, 5)), "is negative"),
        (
            "entropy",
            RNG.random((4, 2, 7)),
            r"entropy has shape \(4, 2, 7\); one example, \(heads, q",
        ),
        ("received", RNG.random(11), r"received has shape \(11,\); one example, \(heads, keys\)"),
    ],
)
def test_a_field_of_another_shape_is_refused(field, value, said):
    with pytest.raises(ValueError, match=said):
        plot.summary(of_two_heads(**{field: value}))


def test_the_strip_holds_each_epochs_shares():
    received = np.array([[1.0, 1.0, 2.0], [0.0, 0.0, 5.0]])
    figure = plot.summaries(received, epochs=[1, 4], marks=[2])
    strip = figure.axes[0]
    np.testing.assert_allclose(strip.images[0].get_array(), [[0.25, 0.25, 0.5], [0, 0, 1]])
    assert [label.get_text() for label in strip.get_yticklabels()] == ["1", "4"]
    assert list(strip.lines[0].get_xdata()) == [2]


def test_many_keys_are_added_up_in_cells_that_leave_none_out():
    received = RNG.random((2, 1031))
    cells = plot.summaries(received).axes[0].images[0].get_array()
    assert cells.shape == (2, 256)
    # Cell i spans the keys from floor(i T / n) on; the loop says so key by key.
    expected = np.zeros((2, 256))
    for key in range(1031):
        cell = max(i for i in range(256) if i * 1031 // 256 <= key)
        expected[:, cell] += received[:, key]
    np.testing.assert_allclose(cells, expected / expected.sum(1, keepdims=True))


def test_lines_stand_beside_what_equal_weights_would_give():
    figure = plot.summaries(RNG.random((3, 5)), entropy=[1.5, 1.0, 0.1], share=[0.2, 0.5, 0.9])
    share, entropy = (
        next(a for a in figure.axes if a.get_title(loc="left") == t)
        for t in ("weight of the right keys", "entropy, nats")
    )
    assert [list(line.get_ydata()) for line in share.lines] == [[0.2, 0.5, 0.9], [0.2, 0.2]]
    assert entropy.lines[1].get_ydata()[0] == pytest.approx(1.6094379)
    assert list(entropy.lines[0].get_xdata()) == [1, 2, 3]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"share": [0.5]}, "share has 1 values, but received has 2 rows"),
        ({"epochs": [1, 2, 3]}, "epochs has 3 values, but received has 2 rows"),
        ({"received": RNG.random(7)}, r"received has shape \(7,\); \(epochs, keys\)"),
        ({"received": [[np.nan]]}, "is not finite"),
    ],
)
def test_lengths_that_do_not_agree_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        plot.summaries(**{"received": RNG.random((2, 7))} | settings)
