"""A circuit as a graph: its strongest edges, between parts in the order of the layers."""

import types

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import PathPatch

from attn_jax import plot
from attn_jax.plot.circuit_layout import lay_out
from attn_jax.plot.colors import RIGHT, WRONG

EDGES = [
    ("embedding", "layers.0.heads.1.value", 0.5),
    ("layers.0.heads.1", "layers.0.mlp", -0.25),
    ("layers.0.heads.1", "layers.1.heads.0.key", 2.0),
    ("layers.0.mlp", "layers.1.heads.0.query", 1.0),
    ("layers.1.heads.0", "logits", -1.0),
    ("embedding", "logits", 0.125),
]


def lines(figure):
    return [patch for patch in figure.axes[0].patches if isinstance(patch, PathPatch)]


def test_the_width_of_an_edge_is_its_size_and_its_color_its_sign():
    drawn = lines(plot.circuit(EDGES))  # the weakest first
    assert [to_hex(line.get_edgecolor()) for line in drawn] == [
        RIGHT, WRONG, RIGHT, WRONG, RIGHT, RIGHT,
    ]  # fmt: skip
    widths = np.array([line.get_linewidth() for line in drawn])
    np.testing.assert_allclose(widths[1:] / widths[-1], [0.125, 0.25, 0.5, 0.5, 1])


def test_only_the_strongest_edges_and_their_parts_are_drawn():
    figure = plot.circuit(EDGES, count=2)
    assert len(lines(figure)) == 2
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert texts == {"0.1", "1.0", "MLP", "k", "q", "layer 0", "layer 1"}


def test_takes_edge_scores():
    senders, receivers = ("embedding", "layers.0.mlp"), ("layers.0.mlp", "logits")
    values = np.array([[1.0, -3.0], [np.nan, 2.0]])
    scores = types.SimpleNamespace(values=values, senders=senders, receivers=receivers)
    legend = plot.circuit(scores).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["+2", "\N{MINUS SIGN}3"]


def test_rows_follow_the_model_upward():
    rows = {name: node.row for name, node in lay_out(EDGES).nodes.items()}
    order = ["embedding", "layers.0.heads.1", "layers.0.mlp", "layers.1.heads.0", "logits"]
    assert [rows[name] for name in order] == [0, 1, 2, 3, 4]


def test_no_edge_passes_through_a_node():
    layout = lay_out(EDGES)
    for path in layout.paths:
        for row, x in path[1:-1]:
            others = [node.x for node in layout.nodes.values() if node.row == row]
            assert min(abs(x - other) for other in others) > 0.5


def test_crossings_that_need_not_be_are_undone():
    heads = [f"layers.0.heads.{i}" for i in range(4)]
    later = [f"layers.1.heads.{3 - i}" for i in range(4)]
    layout = lay_out([(a, b, 1.0) for a, b in zip(heads, later, strict=True)])
    xs = [[layout.nodes[name].x for name in row] for row in (heads, later)]
    np.testing.assert_array_equal(np.argsort(xs[0]), np.argsort(xs[1]))


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([], "no edges to draw: 0 are not zero"),
        ([("embedding", "logits", 0.0)], "no edges to draw"),
        ([("embedding", "logits", np.inf)], "'embedding' to 'logits' is infinite"),
        ([("layers.1.mlp", "layers.0.mlp", 1.0)], "does not lead to a later part"),
        ([("layers.1.mlp", "layers.1.heads.0.query", 1.0)], "does not lead to a later part"),
    ],
    ids=["none", "zero", "infinite", "layer", "part"],
)
def test_refuses_what_is_no_circuit(edges, message):
    with pytest.raises(ValueError, match=message):
        plot.circuit(edges)
