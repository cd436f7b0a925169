"""What is refused of streaming attention, with both values and the way out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.ops import Summary, attention_rows, attention_tile, streaming_attention

Q, K, H, D = 7, 5, 6, 3
QUERY, KEY = jnp.ones((2, Q, H, D)), jnp.ones((2, K, 3, D))


def attend(query=QUERY, **options):
    return streaming_attention(query, KEY, KEY, **options)


def summary(**wanted):
    return attend(summary=Summary(**wanted))


def rows(*asked):
    return attention_rows(QUERY, KEY, rows=jnp.array(asked))


def tile(rows=(0, 7), columns=(0, 5), normalizer=(2, H, Q)):
    known = {"log_normalizer": jnp.zeros(normalizer)}
    return attention_tile(QUERY, KEY, rows=rows, columns=columns, **known)


CASES = {
    "mask": (
        lambda: attend(mask=jnp.ones((4, 9), bool)),
        r"mask .*\(4, 9\) .*\(2, 6, 7, 5\)",
    ),
    "bias": (lambda: attend(bias=jnp.ones((7, 7))), r"bias of shape \(7, 7\) .*\(2, 6, 7, 5\)"),
    "sinks": (lambda: attend(sinks=jnp.ones(4)), r"sinks of shape \(4,\) .*\(6,\)"),
    "window": (lambda: attend(window=-1), "window=-1 has a negative side.*at least 0"),
    "a side": (lambda: attend(window=(3, -2)), r"window=\(3, -2\) has a negative side"),
    "no pair": (
        lambda: attend(window=(3, 2, 1)),
        r"window=\(3, 2, 1\) is no pair; \(left, ",
    ),
    "softcap": (lambda: attend(softcap=0.0), "softcap=0.0 must be positive; None"),
    "blocks": (
        lambda: attend(block_sizes=(0, 8)),
        r"block_sizes=\(0, 8\) .* two positive .*\(",
    ),
    "one block": (lambda: attend(block_sizes=(8,)), r"block_sizes=\(8,\) must be two positive"),
    "segments": (
        lambda: attend(segment_ids=jnp.ones((2, Q), int)),
        r"segment_ids of shape \(2, 7\) .* the key's .* = \(2, 5\); .* give a pair",
    ),
    "segments of queries": (
        lambda: attend(segment_ids=(jnp.ones(4, int), jnp.ones(K, int))),
        r"segment_ids of shape \(4,\) .* the query's .* = \(2, 7\)",
    ),
    "three segments": (
        lambda: attend(segment_ids=(jnp.ones(Q, int),) * 3),
        r"3 segment_ids are given; .* a pair, \(of the queries, of the keys\)",
    ),
    "heads": (lambda: attend(query=QUERY[:, :, :4]), "3 heads, which do not divide the 4"),
    "top_k": (lambda: summary(top_k=6), r"top_k=6 is more than the 5 keys.*min\(6, num_keys\)"),
    "negative top_k": (lambda: summary(top_k=-1), "top_k=-1 must be .*; 0 keeps none"),
    "tiles of queries": (
        lambda: summary(pooled=(8, 2)),
        r"pooled=\(8, 2\) .* 7 queries and 5",
    ),
    "tiles of keys": (lambda: summary(pooled=(2, 6)), r"pooled=\(2, 6\) .* 7 queries and 5 keys"),
    "no tiles": (
        lambda: summary(pooled=(0, 3)),
        r"pooled=\(0, 3\) .* two positive.*\(128, ",
    ),
    "one number of tiles": (lambda: summary(pooled=(3,)), r"pooled=\(3,\) must be two positive"),
    "a row too far": (lambda: rows(3, 7), "rows .* 8.* 7 queries; 0 <= start < stop <= 7"),
    "a negative row": (lambda: rows(-1, 2), "rows go from -1 .* 7 queries"),
    "a tile too far": (
        lambda: tile(columns=(2, 6)),
        "columns go from 2 up to 6, .* <= 5",
    ),
    "a negative tile": (lambda: tile(rows=(-2, 3)), "rows go from -2 up to 3, .* 7 queries"),
    "an empty tile": (lambda: tile(rows=(3, 3)), "rows go from 3 up to 3, .* start < stop"),
    "log_normalizer": (
        lambda: tile(normalizer=(2, Q, H)),
        r"log_normalizer has shape \(2, 7, 6\) .* = \(2, 6, 7\), as in the summary",
    ),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_is_refused(case):
    call, message = CASES[case]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "call",
    [
        lambda mask: attend(mask=mask),
        lambda mask: attention_rows(QUERY, KEY, rows=jnp.array([1]), mask=mask),
    ],
)
def test_a_mask_of_numbers_is_refused(call):
    with pytest.raises(TypeError, match=r"mask must be boolean .*, not int32; .* bias"):
        call(jnp.ones((Q, K), jnp.int32))


def test_numbers_of_64_bits_are_refused_and_sent_elsewhere():
    with jax.enable_x64(True):
        query = jnp.asarray(np.ones((Q, H, D)))
        with pytest.raises(ValueError, match=r"float32 and query is float64; .*'xla'\) keeps 64"):
            streaming_attention(query, query, query)
