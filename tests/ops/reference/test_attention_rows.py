"""Weights of some queries, and of one tile, against the whole map in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_attention import Reference, close
from streaming_cases import CASES, GIVEN

from attn_jax.ops import Summary, attention_rows, attention_tile, streaming_attention

ROWS = np.array([36, 0, 2, 19, 2])
TILE = {"rows": (2, 25), "columns": (11, 48)}
QUERY, KEY, VALUE = GIVEN.values()


@pytest.mark.parametrize("name", CASES)
def test_they_are_those_of_the_whole_map(name):
    options = CASES[name][0]
    of_tile = {option: x for option, x in options.items() if option != "sinks"}
    reference = Reference(**GIVEN, **options)

    @jax.jit
    def parts(rows, log_normalizer):
        tile = attention_tile(QUERY, KEY, **TILE, log_normalizer=log_normalizer, **of_tile)
        return attention_rows(QUERY, KEY, rows=rows, **options), tile

    rows, tile = parts(ROWS, jnp.asarray(reference.log_normalizer, jnp.float32))
    close(rows, reference.weights[..., ROWS, :])
    close(tile, reference.weights[..., slice(*TILE["rows"]), slice(*TILE["columns"])])


def test_the_tiles_of_a_summary_make_up_the_map():
    options = CASES["sinks"][0]

    @jax.jit
    def tiles():
        _, found = streaming_attention(QUERY, KEY, VALUE, **options, summary=Summary())
        known = {"log_normalizer": found.log_normalizer, "mask": options["mask"]}
        return [
            attention_tile(QUERY, KEY, rows=rows, columns=(0, 53), **known)
            for rows in ((0, 13), (13, 37))
        ]

    close(jnp.concatenate(tiles(), axis=-2), Reference(**GIVEN, **options).weights)


def test_no_rows_are_an_empty_answer_and_a_traced_row_beyond_the_end_is_the_last():
    assert attention_rows(QUERY, KEY, rows=jnp.zeros(0, jnp.int32)).shape == (2, 6, 0, 53)
    beyond = jax.jit(lambda rows: attention_rows(QUERY, KEY, rows=rows))(jnp.array([99]))
    close(beyond, Reference(**GIVEN).weights[..., -1:, :])


def test_one_row_of_a_long_sequence_needs_no_map():
    x = jax.ShapeDtypeStruct((8192, 1, 8), jnp.float32)
    rows = jax.ShapeDtypeStruct((3,), jnp.int32)
    few = jax.jit(lambda x, rows: attention_rows(x, x, rows=rows, window=9)).lower(x, rows)
    assert few.compile().memory_analysis().temp_size_in_bytes < 8192**2 / 64
