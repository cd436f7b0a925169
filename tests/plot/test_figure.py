import subprocess
import sys

import matplotlib as mpl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_jax import plot
from attn_jax.plot.figure import plain
from attn_jax.plot.graphemes import clusters

QUIET = """
import sys, matplotlib
before = dict(matplotlib.rcParams)
from attn_jax import plot
figure = plot.heatmap([[0.5, 0.5]])
figure.savefig(sys.argv[1])
assert "matplotlib.pyplot" not in sys.modules, "pyplot was imported"
assert dict(matplotlib.rcParams) == before, "settings were changed"
foreign = [m for m in sys.modules if m.split(".")[0] in ("jax", "flax")]
assert not foreign, foreign[:3]
"""


def test_nothing_global_is_touched(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", QUIET, tmp_path / "map.svg"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_labels_that_look_like_mathematics_are_drawn_as_they_are(tmp_path, suffix):
    labels = ["$x_1$", "$\\frac{", "a_b", "%", "#", "\\", "\n", "\x00", " ", "\u200b", "é" * 200]
    weights = [[1 / len(labels)] * len(labels)]
    for figure in (
        plot.heatmap(weights, keys=labels, queries=["$"]),
        plot.bars(weights[0], keys=labels),
        plot.curves([{"$e": 1, "$s/$l": 2.0}], ["$l"], x="$e"),
    ):
        figure.savefig(tmp_path / f"labels.{suffix}")


@given(st.text(max_size=60) | st.integers() | st.just("\ud800"))
def test_any_label_becomes_one_short_printable_line(label):
    text = plain(label)
    assert text.isprintable()
    # Marks belong to the character before them.
    assert len(clusters(text)) <= 16
    assert not str(label) or text


def test_a_mark_after_an_escape_adds_no_character():
    assert plain("00\x08\ua8e0\U00018cd6") == "00\\x08\ua8e0\\U00018cd6"


def test_a_figure_shows_itself_in_a_notebook():
    assert plot.bars([1.0])._repr_png_().startswith(b"\x89PNG")


def test_figures_are_not_registered_anywhere():
    plot.bars([1.0])
    assert mpl._pylab_helpers.Gcf.get_num_fig_managers() == 0
