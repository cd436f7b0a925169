import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from attn_jax import plot
from attn_jax.plot.curves import ErrorScale

ROWS = [
    {"step": 3, "epoch": 1, "train/loss": 0.7, "train/accuracy": 0.8, "time/loss": 9.0},
    {"step": 5, "epoch": 2, "train/loss": 0.4, "train/accuracy": 0.9, "test/accuracy": 0.95},
    {"step": 7, "epoch": 3, "train/loss": 0.2, "train/accuracy": 0.97, "test/accuracy": 0.99},
]


def lines(ax):
    return {line.get_label(): (*line.get_xdata(), *line.get_ydata()) for line in ax.lines}


def test_each_split_is_a_line_through_the_rows_that_hold_it():
    loss, accuracy = plot.curves(ROWS).axes
    assert lines(loss) == {"train": (1, 2, 3, 0.7, 0.4, 0.2)}
    assert lines(accuracy)["test"] == (2, 3, 0.95, 0.99)


def test_lines_differ_in_dash_and_marker_too():
    train, test = plot.curves(ROWS).axes[1].lines
    assert train.get_linestyle() != test.get_linestyle()
    assert train.get_marker() != test.get_marker()


def test_any_column_may_be_the_horizontal_axis():
    figure = Figure()
    ax = figure.subplots()
    assert plot.curves(ROWS, ["loss"], x="step", ax=ax) is figure
    assert lines(ax)["train"][:3] == (3, 5, 7)


def test_accuracies_are_spaced_by_their_error_and_labeled_in_percent():
    figure = plot.curves(ROWS, ["accuracy"])
    figure.canvas.draw()
    (ax,) = figure.axes
    at = ax.transData.transform([(1, 0.2), (1, 0.8), (1, 0.95)])[:, 1]
    np.testing.assert_allclose(at[1] - at[0], at[2] - at[1], rtol=1e-6)
    shown = [label.get_text() for label in ax.get_yticklabels()]
    assert "90 %" in shown
    assert "98 %" in shown


def test_labels_do_not_overlap():
    rows = [{"epoch": at, "test/accuracy": value} for at, value in enumerate((0.09, 0.5, 1.0))]
    figure = plot.curves([*rows, {"epoch": 3, "train/accuracy": 0.9998}], ["accuracy"])
    figure.canvas.draw()
    boxes = sorted(
        t.get_window_extent().intervaly.tolist() for t in figure.axes[0].get_yticklabels()
    )
    assert len(boxes) > 5
    assert all(low[1] <= high[0] for low, high in itertools.pairwise(boxes))


@pytest.mark.parametrize(
    "values", [(0.1, 0.4), (0.0, 0.99), (0.9, 1.0), (0.97, 0.97), (1.0, 1.0), (-1.0, 2.0)]
)
def test_any_accuracy_can_be_drawn(values):
    rows = [{"epoch": at, "train/accuracy": value} for at, value in enumerate(values)]
    figure = plot.curves(rows, ["accuracy"])
    figure.canvas.draw()
    low, high = figure.axes[0].get_ylim()
    assert low <= min(values)
    assert max(values) <= high


def test_what_no_row_holds_is_named():
    with pytest.raises(ValueError, match=r"no row has 'bleu' .* 3 rows have test/accuracy"):
        plot.curves(ROWS, ["bleu"])
    with pytest.raises(ValueError, match="0 rows have no metrics"):
        plot.curves([])
    with pytest.raises(ValueError, match="one ax takes one metric"):
        plot.curves(ROWS, ax=Figure().subplots())


def test_losses_that_fall_tenfold_are_spaced_by_their_logarithm():
    falling = [{"epoch": at, "train/loss": 10.0**-at} for at in range(4)]
    steady = [{"epoch": at, "train/loss": 2.0 - at / 4} for at in range(4)]
    assert plot.curves(falling, ["loss"]).axes[0].get_yscale() == "log"
    assert plot.curves(steady, ["loss"]).axes[0].get_yscale() == "linear"


@given(st.floats(0, 1), st.floats(1e-5, 0.5))
def test_the_error_scale_can_be_undone_and_rises(share, least):
    scale = ErrorScale(least)
    assert scale.accuracy(scale.position(share)) == pytest.approx(share, abs=1e-9)
    assert scale.position(share) < scale.position(share + 1e-3)
