"""Drivers against values by hand from the papers, and scenes against the cars they react to."""

import sys

import numpy as np
import pytest

from attn_jax._extras import MissingPackageError
from attn_jax.tasks import Driving
from attn_jax.tasks.driving.driver import CAR, Driver, Plan, View, follow, plan
from attn_jax.tasks.driving.highway import Reading, scenes_of
from attn_jax.tasks.driving.road import seen_from_each, simulate
from attn_jax.tasks.driving.scenes import matters, reactions

TASK = Driving(train=40, validation=11, test=13)


def test_a_car_at_its_equilibrium_gap_keeps_its_speed():
    # Treiber et al., section II B: s_e(v) = (s0 + v T) / sqrt(1 - (v / v0)^δ).
    for speed in (0.0, 10.0, 25.0):
        gap = (2 + 1.6 * speed) / np.sqrt(1 - (speed / 33) ** 4)
        assert follow(speed, gap, 0.0, 33.0) == pytest.approx(0, abs=1e-12)


def test_a_standing_obstacle_is_braked_for_as_the_paper_says():
    # Where the other terms vanish, the deceleration is (v² / 2s)² / b, of which v² / 2s is needed.
    driver = Driver(min_gap=0.0, time_gap=0.0, max_acceleration=1e-9)
    for needed in (0.5, 1.67, 3.34):
        speed = 20.0
        gap = speed**2 / (2 * needed)
        braking = follow(speed, gap, speed, 1e6, driver)
        assert -braking == pytest.approx(needed**2 / 1.67, rel=1e-6)


@pytest.mark.parametrize(
    ("speed", "gap", "approach", "expected"),
    [
        (0.0, np.inf, 0.0, 0.73),
        (30.0, np.inf, 0.0, 0.0),
        (15.0, np.inf, 0.0, 0.73 * (1 - 1 / 16)),
        # s* = 2 + 10 · 1.6 = 18, and the gap is twice that.
        (10.0, 36.0, 0.0, 0.73 * (1 - 1 / 81 - 1 / 4)),
        # s* = 2 + 16 + 10 · 2 / (2 √(0.73 · 1.67)) = 27.0569…
        (10.0, 30.0, 2.0, 0.73 * (1 - 1 / 81 - (27.0569183 / 30) ** 2)),
        # A leader who drives off does not make the driver want less than the smallest gap.
        (10.0, 4.0, -30.0, 0.73 * (1 - 1 / 81 - 1 / 4)),
    ],
)
def test_accelerations_by_hand(speed, gap, approach, expected):
    assert follow(speed, gap, approach, 30.0) == pytest.approx(expected, rel=1e-6)


def view_of(*cars):
    """Return one driver's view of cars (ahead, lane, speed)."""
    ahead, lane, speed = (np.array([column], float) for column in zip(*cars, strict=True))
    return View(
        ahead, lane.astype(int), speed, np.zeros(ahead.shape, bool), np.ones(ahead.shape, bool)
    )


def planned(*cars, lane=1, speed=25.0):
    return plan(view_of(*cars), np.array([lane]), np.array([speed]), np.array([False]), lanes=3)


def test_a_slow_leader_is_overtaken_on_the_lane_that_is_free():
    slow = (25.0, 1, 15.0)
    both = planned(slow)
    wish = 2 + 25 * 1.6 + 25 * 10 / (2 * np.sqrt(0.73 * 1.67))
    # Both lanes are free: the advantage is the interaction that falls away. Left is the first.
    np.testing.assert_allclose(both.advantage, [[0.73 * (wish / 20) ** 2] * 2])
    assert both.change == 1
    assert planned(slow, (26.0, 0, 10.0)).change == 2
    assert planned(slow, lane=2).change == 0
    assert planned((25.0, 0, 15.0), lane=0).change == 2
    assert np.isneginf(planned(slow, lane=0).advantage[0, 0])


def test_nobody_cuts_in_before_a_car_that_would_have_to_brake_hard():
    # The car behind on the left needs s* = 2 + 1.6 v + v Δv / (2 √(ab)) at a gap of 15.
    slow, fast = (25.0, 1, 15.0), (-20.0, 0, 30.0)
    wish = 2 + 48 + 30 * 5 / (2 * np.sqrt(0.73 * 1.67))
    braking = 0.73 * (1 - (30 / CAR.desired_speed) ** 4 - (wish / 15) ** 2)
    assert braking < -4
    safe = planned(slow, fast)
    np.testing.assert_array_equal(safe.is_safe, [[False, True]])
    assert safe.change == 2
    # Politeness: the advantage on the left falls by 0.2 times what the other loses.
    alone, free = planned(slow), 0.73 * (1 - (30 / CAR.desired_speed) ** 4)
    loss = 0.2 * (braking - free)
    np.testing.assert_allclose(safe.advantage[0, 0], alone.advantage[0, 0] + loss)


def test_no_car_brakes_harder_than_it_can():
    assert planned((6.0, 1, 5.0), lane=1).acceleration == -9


def test_drivers_react_to_the_leader_and_not_to_the_car_before_it():
    cars = view_of((60.0, 1, 20.0), (90.0, 1, 20.0), (-20.0, 0, 30.0), (140.0, 2, 33.0))
    _, reacted = reactions(cars, np.array([1]), np.array([25.0]), np.array([False]), 3)
    np.testing.assert_array_equal(reacted[0, 0], [True, False, False, False])
    # The lane: the leader, and the fast one who would have to brake on the left.
    np.testing.assert_array_equal(reacted[0, 1], [True, False, True, False])


def test_cars_on_a_ring_never_touch():
    for traffic in simulate(8, 3, (15, 45), 0.1, np.random.default_rng(3), times=(0.0, 4.0, 10.0)):
        view = seen_from_each(traffic)
        same = view.exists & (view.lane == traffic.lane[..., None])
        lengths = np.where(view.truck, 12, 5) + np.where(traffic.truck, 12, 5)[..., None]
        assert (np.abs(view.ahead)[same] > lengths[same] / 2).all()
        assert (traffic.speed[traffic.exists] >= 0).all()
        assert set(np.unique(traffic.lane[traffic.exists])) == {0, 1, 2}


def test_scenes_hold_what_the_driver_saw_and_did():
    bucket = TASK.load()["train"][0]
    assert bucket["place"].shape == (40, 16)
    assert bucket["exists"][:, 0].all()
    seen = bucket["exists"].sum(-1) - 1
    assert seen.min() >= 5
    assert seen.max() <= 15
    assert (bucket["change"] > 0).sum() == 12
    assert not bucket["reacted"][:, :, 0].any()
    # The driver's plan, worked out again from the scene alone.
    own = (bucket[name][:, 0] for name in ("lane", "speed", "truck"))
    others = {name: bucket[name][:, 1:] for name in ("lane", "speed", "truck", "exists")}
    ahead = (bucket["place"][:, 1:] - bucket["place"][:, :1]).astype(float)
    again = plan(View(ahead=ahead, **others), *own, 3)
    np.testing.assert_allclose(again.acceleration, bucket["driven"], atol=1e-3)
    assert (again.change == bucket["change"]).mean() > 0.97  # rounded to float32
    noise = bucket["acceleration"] - bucket["driven"]
    assert 0.05 < noise.std() < 0.15


def test_what_a_model_sees_is_no_row_number_and_no_gap():
    bucket = TASK.load()["test"][0]
    for coordinates, start in (("driver", bucket["place"][:, :1]), ("road", 200)):
        task = Driving(train=40, validation=11, test=13, coordinates=coordinates)
        cars = np.asarray(task.prepare(bucket)["cars"])
        exists = bucket["exists"]
        np.testing.assert_allclose(
            cars[..., 0][exists], ((bucket["place"] - start) / 100)[exists], atol=1e-5
        )
        assert set(np.unique(cars[..., 1])) == {-1, 0, 1}
        assert (cars[~exists] == 0).all()
    places = np.where(bucket["exists"], bucket["place"], np.inf)[:, 1:6]
    assert (np.diff(places) > 0).all(-1).mean() < 0.2  # In order by chance: 1 of 120.


def test_a_split_alone_is_the_same():
    again = Driving(train=39, validation=11, test=13).bucket("test")
    for name, array in TASK.load()["test"][0].items():
        np.testing.assert_array_equal(again[name], array)
    with pytest.raises(ValueError, match="split='valid' is not one of train, validation, test"):
        TASK.bucket("valid")


def test_a_package_that_is_missing_is_named_with_its_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "highway_env", None)
    task = Driving(name="highway_env", train=3, validation=1, test=1)
    line = "'highway_env' is missing: pip install highway-env==1.12.1"
    with pytest.raises(MissingPackageError, match=line):
        task.load()


def plan_of(acceleration, left, right, safe=(True, True)):
    return Plan(
        np.array(acceleration), np.array([left, right]), np.array(safe), np.array(2 * (right > 0))
    )


def test_a_car_matters_where_without_it_something_differs():
    planned = plan_of(-1.0, -np.inf, 0.5, (False, True))
    for without, expected in [
        (planned, [False, False]),
        (plan_of(-0.89, -np.inf, 0.41, (False, True)), [True, False]),
        (plan_of(-1.09, -np.inf, 0.39, (False, True)), [False, True]),
        (plan_of(-1.0, -np.inf, 0.5, (False, False)), [False, True]),
    ]:
        np.testing.assert_array_equal(matters(planned, without), expected)


def reading_of(count, first):
    """Return a reading whose other cars are known by their speeds, which begin at `first`."""
    speed = first + np.arange(count, dtype=float)
    reacted = np.stack([speed == first, speed > first], 1)
    planned = plan_of(-first, -np.inf, first)
    own = (1.25, first, False)
    return Reading(
        own, 3 * speed, speed / 100, speed, speed > 21, planned, np.array(2.0), reacted, True
    )


def test_readings_become_scenes_whose_rows_are_in_random_order():
    scenes = scenes_of([reading_of(3, 20.0), reading_of(5, 30.0)], 7, np.random.default_rng(0))
    for row, count, first in ((0, 3, 20.0), (1, 5, 30.0)):
        exists = scenes.exists[row]
        assert exists.tolist() == [True] * (1 + count) + [False] * (7 - count)
        assert (scenes.lane[row, 0], scenes.speed[row, 0], scenes.truck[row, 0]) == (1.25, first, 0)
        speed = scenes.speed[row, 1 : 1 + count]
        np.testing.assert_array_equal(np.sort(speed), first + np.arange(count))
        ahead = scenes.place[row, 1 : 1 + count] - scenes.place[row, 0]
        np.testing.assert_allclose(ahead, 3 * speed, rtol=1e-5)
        np.testing.assert_allclose(scenes.lane[row, 1 : 1 + count], speed / 100, rtol=1e-6)
        np.testing.assert_array_equal(scenes.truck[row, 1 : 1 + count], speed > 21)
        np.testing.assert_array_equal(scenes.reacted[row, 0, 1 : 1 + count], speed == first)
        np.testing.assert_array_equal(scenes.reacted[row, 1, 1 : 1 + count], speed > first)
        assert not scenes.reacted[row][:, ~exists].any()
        assert not scenes.reacted[row, :, 0].any()
        assert (scenes.driven[row], scenes.free[row], scenes.change[row]) == (-first, 2, 2)
    assert not (np.diff(scenes.speed[1, 1:6]) > 0).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"test": 0}, "test=0 must be at least 1"),
        ({"noise": -1.0}, r"noise=-1\.0 must be at least 0"),
        ({"changing": 0.95}, r"changing=0\.95 must be from 0 to 0\.9"),
        ({"changing": 0.1, "lanes": 1}, r"changing=0\.1 must be from 0 to 0\.0"),
        ({"seen": (13, 15)}, r"seen=\(13, 15\) must be two numbers, the lower first"),
    ],
)
def test_refuses_settings_out_of_range(settings, said):
    with pytest.raises(ValueError, match=said):
        Driving(**settings)
