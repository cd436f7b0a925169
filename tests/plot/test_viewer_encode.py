import base64
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attn_jax.plot.viewer import encode


def read_map(text, queries, keys, top_k):
    """Reads a map byte by byte, as the format is described."""
    bits, rest = (zlib.decompress(base64.b64decode(part)) for part in text.split(","))
    assert len(bits) == -(-queries * keys // 8)
    seen = [bits[i // 8] >> (7 - i % 8) & 1 for i in range(queries * keys)]
    codes, rest = iter(rest[: sum(seen)]), rest[sum(seen) :]
    count = queries * top_k
    first, last = rest[: 4 * count], rest[4 * count :]
    weights = [struct.unpack("<f", bytes(first[i::count]))[0] for i in range(count)]
    ranks = [struct.unpack("<I", bytes(last[i::count]))[0] for i in range(count)]
    top_weights = np.reshape(np.array(weights, np.float32), (queries, top_k))
    cells = np.array([next(codes) if bit else 0 for bit in seen]).reshape(queries, keys)
    orders = [sorted(range(keys), key=lambda key: (-row[key], key)) for row in cells.tolist()]
    top_keys = np.array([orders[i // top_k][rank] for i, rank in enumerate(ranks)])
    top_keys = top_keys.reshape(queries, top_k)
    return cells * (top_weights[:, :1].astype(np.float64) / 128), top_weights, top_keys


def check(weights, top_k):
    rounded, exact, places = read_map(encode.encode_map(weights, top_k), *weights.shape, top_k)
    most = weights.max(-1, keepdims=True)
    assert (np.abs(rounded - weights) <= most.astype(np.float64) / 255).all()
    np.testing.assert_array_equal(np.take_along_axis(weights, places, -1), exact)
    np.testing.assert_array_equal(exact, -np.sort(-weights, -1)[:, :top_k])
    assert all(len(set(row)) == top_k for row in places.tolist())


@pytest.mark.parametrize("concentration", [0.01, 0.3, 1.0, 50.0])
@pytest.mark.parametrize("top_k", [1, 3, 7])
def test_maps_come_back_within_a_255th_and_the_largest_exactly(concentration, top_k):
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(23, concentration), 11).astype(np.float32)
    check(weights, top_k)


# From the smallest normal number on; what is less rounds to zero in the browser.
FLOATS = st.one_of(st.just(0.0), st.floats(2**-126, 1.0, width=32))


@given(arrays(np.float32, (5, 7), elements=FLOATS))
def test_any_numbers_come_back(weights):
    check(weights, 3)


def test_a_query_that_attends_to_nothing_stays_so():
    weights = np.zeros((2, 3), np.float32)
    weights[1] = 0.5, 0.25, 0.25
    rounded, exact, _ = read_map(encode.encode_map(weights, 2), 2, 3, 2)
    assert rounded.tolist() == weights.tolist()
    assert exact.tolist() == [[0, 0], [0.5, 0.25]]


def test_lines_are_kept_in_16_bits_and_gaps_as_gaps():
    values = np.array([3.0, -np.inf, 5.0, 4.1234, np.nan])
    scale, text = encode.encode_line(values)
    data = zlib.decompress(base64.b64decode(text))
    codes = [data[i] + 256 * data[i + 5] for i in range(5)]
    assert [code == 65535 for code in codes] == [False, True, False, False, True]
    read = [scale["low"] + code * scale["step"] for code in codes]
    assert read[0] == 3.0
    assert read[2] == pytest.approx(5.0, rel=1e-12)
    assert read[3] == pytest.approx(4.1234, abs=2 / 65534)


@pytest.mark.parametrize("values", [[2.5, 2.5], [-np.inf, -np.inf]])
def test_lines_without_a_range_are_kept(values):
    scale, text = encode.encode_line(values)
    data = zlib.decompress(base64.b64decode(text))
    code = data[0] + 256 * data[2]
    assert scale["step"] > 0
    assert code == 65535 if values[0] < 0 else scale["low"] + code * scale["step"] == 2.5


def test_a_thumbnail_shows_the_largest_weight_of_each_cell():
    weights = np.zeros((64, 3), np.float32)
    weights[63, 2], weights[2, 0] = 1.0, 0.4
    small = encode.thumbnail(weights)
    assert small.shape == (32, 3)
    assert {tuple(at): int(small[tuple(at)]) for at in np.argwhere(small)} == {
        (1, 0): 102,
        (31, 2): 255,
    }


def test_entropy_is_that_of_the_definition():
    weights = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]], np.float32)
    assert encode.mean_entropy(weights) == pytest.approx(np.log(2) / 2)
