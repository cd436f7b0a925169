"""Edge attribution, against finite differences of the twin in float64."""

import jax.numpy as jnp
import numpy as np
import pytest
from streams import CLEAN, CORRUPTED, HEADS, difference, model, scanned, twin, values_of

from attn_jax import circuits

METRIC = circuits.logit_difference(4, 6)
PAIR = jnp.asarray(CLEAN), jnp.asarray(CORRUPTED)


@pytest.fixture(scope="module")
def edges():
    return circuits.edge_attribution(model, *PAIR, METRIC)


def sent():
    """Return the difference of every sender's output between the runs, by name."""
    clean, corrupted = values_of(CLEAN), values_of(CORRUPTED)
    changes = {name: corrupted[name] - clean[name] for name in clean}
    named = {"embedding": changes["embedding"]}
    for i in range(2):
        for head in range(HEADS):
            heads = changes[f"layers.{i}.attention.head_output"]
            named[f"layers.{i}.heads.{head}"] = heads[:, :, head]
        named[f"layers.{i}.mlp"] = changes[f"layers.{i}.mlp"]
    return named


@pytest.mark.parametrize(
    "receiver", ["layers.0.mlp", "layers.1.heads.2.query", "layers.1.heads.0.value", "logits"]
)
def test_an_edge_is_the_derivative_of_what_its_receiver_reads(edges, receiver):
    column = edges.receivers.index(receiver)
    for row, (name, change) in enumerate(sent().items()):
        assert edges.senders[row] == name
        if np.isnan(edges.values[row, column]):
            continue

        def moved(size, change=change):
            def read(own, x):
                return x + size * change if own == receiver else x

            return difference(twin(CLEAN, read=read))

        expected = (moved(1e-5) - moved(-1e-5)) / 2e-5
        np.testing.assert_allclose(edges.values[row, column], expected, atol=2e-5)


def test_only_later_parts_receive(edges):
    is_edge = ~np.isnan(edges.values)
    rows = {name: is_edge[i] for i, name in enumerate(edges.senders)}
    assert rows["embedding"].all()
    assert [edges.receivers[i] for i in np.flatnonzero(rows["layers.1.heads.0"])] == [
        "layers.1.mlp",
        "logits",
    ]


def test_edges_to_the_logits_sum_to_the_whole_effect(edges):
    # The logits are linear in the last residual stream, so the first order is all there is.
    total = difference(twin(CORRUPTED)) - difference(twin(CLEAN))
    column = edges.values[:, edges.receivers.index("logits")]
    np.testing.assert_allclose(np.nansum(column), total, atol=2e-5)


def test_gradients_are_averaged_between_the_runs():
    (largest,) = [circuits.edge_attribution(model, *PAIR, METRIC, steps=2)]
    start, change = values_of(CLEAN)["embedding"], sent()["embedding"]
    column = largest.receivers.index("layers.0.mlp")

    def slope(share):
        def moved(size):
            return difference(
                twin(
                    CLEAN,
                    lambda name, x: start + share * change if name == "embedding" else x,
                    lambda name, x: x + size * change if name == "layers.0.mlp" else x,
                )
            )

        return (moved(1e-5) - moved(-1e-5)) / 2e-5

    expected = (slope(0.5) + slope(1.0)) / 2
    np.testing.assert_allclose(largest.values[0, column], expected, atol=2e-5)


def test_a_scanned_stack_gives_the_same(edges):
    other = circuits.edge_attribution(scanned, *PAIR, METRIC)
    assert (other.senders, other.receivers) == (edges.senders, edges.receivers)
    np.testing.assert_allclose(other.values, edges.values, atol=1e-5)
    assert other.largest(1) == [other.largest(3)[0]]


def test_a_stream_that_is_normalized_on_its_way_is_refused():
    from attn_jax.hooks import intervene

    def normalized(tokens):
        scaled = {"layers.0.residual_out": lambda x, site: x / 2}
        return intervene(model, scaled)(tokens)

    with pytest.raises(ValueError, match="do not sum to the last residual stream"):
        circuits.edge_attribution(normalized, *PAIR, METRIC)
