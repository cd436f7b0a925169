"""Work that is killed before an operation on a file ends, started again, as if it never had been.

These are a few fixed points; `make crash` tries 200.
"""

import pytest
from crash import Crashes, spread

POINTS = [
    # While the first checkpoint is written, and while an old one is removed.
    ("train", 20),
    ("train", 150),
    ("resume", 30),
    ("report", 27),
    # The file of the pairs lies in the cache, and has no name yet.
    ("fetch", 4),
    ("fetch", 8),
    # The damaged cache is set aside; a set of TFDS is prepared.
    ("caches", 3),
    ("caches", 10),
]


@pytest.fixture(scope="module")
def crashes(tmp_path_factory):
    crashes = Crashes(tmp_path_factory.mktemp("crashes"))
    yield crashes
    crashes.close()


@pytest.mark.parametrize(("kind", "kill"), POINTS)
def test_work_that_is_killed_and_started_again_leaves_the_same(kind, kill, crashes):
    assert not crashes.try_point(kind, kill)


def test_points_are_spread_evenly_and_in_turn():
    points = spread({"a": 2, "b": 10}, 6)
    assert points == [("a", 0), ("b", 1), ("a", 1), ("b", 3), ("b", 6), ("b", 8)]
    assert spread({"a": 2, "b": 1}, 9) == [("a", 0), ("b", 0), ("a", 1)]
