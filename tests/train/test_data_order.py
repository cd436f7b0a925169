import contextlib

import numpy as np
import pytest

from attn_jax.train import TrainConfig
from attn_jax.train.data_order import (
    Segment,
    bucket_size,
    calls,
    epoch_order,
    padded_batches,
    steps_per_epoch,
)

CONFIG = TrainConfig(batch_size=3, bucket_run=2)


def examples(order):
    """(bucket, example) in the order in which the steps see them."""
    return [
        (bucket, int(example))
        for bucket, row, length in order.segments
        for batch in order.indices[bucket][row : row + length]
        for example in batch
    ]


@pytest.mark.parametrize("sizes", [(17,), (17, 5, 11), (2, 7)])
def test_an_epoch_sees_no_example_twice_and_drops_less_than_a_batch_of_each_bucket(sizes):
    order = epoch_order(sizes, 4, CONFIG)
    seen = examples(order)
    small = pytest.warns(UserWarning, match="exceeds buckets of 2 examples, which are never used")
    with small if min(sizes) < 3 else contextlib.nullcontext():
        assert len(seen) == len(set(seen)) == 3 * steps_per_epoch(sizes, CONFIG)
    for bucket, size in enumerate(sizes):
        mine = [example for where, example in seen if where == bucket]
        assert len(mine) == size - size % 3
        assert set(mine) <= set(range(size))


def test_the_order_is_a_function_of_seed_and_epoch():
    sizes = (17, 11)
    first = examples(epoch_order(sizes, 1, CONFIG))
    assert first == examples(epoch_order(sizes, 1, CONFIG))
    assert first != examples(epoch_order(sizes, 2, CONFIG))
    other = TrainConfig(batch_size=3, bucket_run=2, seed=1)
    assert first != examples(epoch_order(sizes, 1, other))


def test_buckets_alternate_in_runs():
    segments = epoch_order((300, 300), 0, CONFIG).segments
    assert {segment.length for segment in segments} == {2}
    assert len({tuple(s.bucket for s in segments[i : i + 5]) for i in range(0, 100, 5)}) > 5


def test_arrays_of_differing_lengths_are_refused():
    assert bucket_size({"a": np.zeros((7, 3)), "b": np.zeros(7)}) == 7
    with pytest.raises(
        ValueError, match=r"have \{'a': 7, 'b': 5\} examples, but must have the same"
    ):
        bucket_size({"a": np.zeros((7, 3)), "b": np.zeros(5)})


def test_a_batch_larger_than_every_bucket_is_refused():
    with pytest.raises(ValueError, match="batch_size=3 exceeds the 2 examples of the largest"):
        steps_per_epoch((2, 1), CONFIG)


@pytest.mark.parametrize("steps_per_call", [1, 2, 3, 100])
@pytest.mark.parametrize("position", [0, 1, 5, 6, 12, 13])
def test_calls_cover_what_is_left_once_in_order_and_never_cross_a_pause(steps_per_call, position):
    segments = [Segment(1, 4, 6), Segment(0, 0, 5), Segment(1, 0, 2)]
    pauses = [3, 7, 8, 13]
    steps = [(bucket, row + i) for bucket, row, length in segments for i in range(length)]
    taken = []
    for call in calls(segments, position, pauses, steps_per_call):
        before = position + len(taken)
        taken += [(call.bucket, row) for row in range(call.start, call.stop)]
        assert 1 <= call.stop - call.start <= steps_per_call
        assert call.position == position + len(taken)
        assert not [p for p in pauses if before < p < call.position]
    assert taken == steps[position:]


@pytest.mark.parametrize("size", [1, 4, 5, 13])
def test_padded_batches_hold_each_example_once_with_weight_one(size):
    indices, weights = padded_batches(size, 4)
    assert indices.shape == weights.shape == (-(-size // 4), 4)
    assert indices[weights == 1].tolist() == list(range(size))
    assert np.isin(weights, (0, 1)).all()
    assert (indices >= 0).all()
    assert (indices < size).all()
