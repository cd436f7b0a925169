"""Drivers beside those of highway-env, and scenes read out of it; `make parity` runs it.

Its driver model differs from ours in the following. The tests match the first four, and state the
others by hand.

- The gap is that between the centers of the cars, and the smallest one is 5 m and a car's length.
- A car of another length or desired speed is an object of its own, not a kind.
- The exponent of the speed may be drawn for each driver.
- No driver is polite, unless told to be, and accelerations end at 6 m/s², not at -9 alone.
- A leader who drives off fast makes the desired gap negative, and its square brakes.
- Of two lanes that are both worth it, the right one is taken, not the better one.
- A car that changes lanes is on both.
- A car exactly beside is ahead.
- The acceleration ends at the speed limit of the lane.
"""

import copy
import os

import numpy as np
import pytest

pytest.importorskip("highway_env", reason="not in this environment; `make parity` has it")

from highway_env.road.road import Road, RoadNetwork
from highway_env.vehicle.behavior import IDMVehicle
from highway_env.vehicle.objects import Obstacle

from attn_jax.tasks import Driving
from attn_jax.tasks.driving import driver as ours
from attn_jax.tasks.driving import highway
from attn_jax.tasks.driving.driver import Driver, Kind, View, follow, plan
from attn_jax.tasks.driving.scenes import MATTERS, reactions

# Fresh at every run, and printed by pytest with a failure, so that it can be had again.
SEED = int(os.environ.get("PARITY_SEED", np.random.SeedSequence().entropy % 2**32))

MATCHED = Driver(
    max_acceleration=IDMVehicle.COMFORT_ACC_MAX,
    comfortable_braking=-IDMVehicle.COMFORT_ACC_MIN,
    time_gap=IDMVehicle.TIME_WANTED,
    min_gap=IDMVehicle.DISTANCE_WANTED,
    exponent=IDMVehicle.DELTA,
    politeness=IDMVehicle.POLITENESS,
    threshold=IDMVehicle.LANE_CHANGE_MIN_ACC_GAIN,
    safe_braking=IDMVehicle.LANE_CHANGE_MAX_BRAKING_IMPOSED,
    hardest_braking=IDMVehicle.ACC_MAX,
)
DESIRED = 32.0


@pytest.fixture(scope="module")
def rng():
    print(f"PARITY_SEED={SEED}")
    return np.random.default_rng(SEED)


def road_of(*cars, lanes=3, speed_limit=None):
    """Return a road with cars (place, lane, speed), all of which desire the same speed."""
    network = RoadNetwork.straight_road_network(lanes, speed_limit=speed_limit)
    road = Road(network, np_random=np.random.default_rng(0))
    for place, lane, speed in cars:
        position = network.get_lane(("0", "1", lane)).position(place, 0)
        road.vehicles.append(IDMVehicle(road, position, speed=speed, target_speed=DESIRED))
    return road


def random_cars(rng, count):
    """Return cars far enough from each other that none overlap; the first is in the middle."""
    # Less than 11 m/s slower than a leader, a driver desires no negative gap.
    speeds = rng.uniform(20, 31, count)
    places = 500 + np.cumsum(rng.uniform(6, 30, count))
    cars = list(zip(places, rng.integers(3, size=count), speeds, strict=True))
    middle = cars.pop(count // 2)
    return [middle, *(cars[index] for index in rng.permutation(count - 1))]


def as_view(cars):
    """Return what the first driver sees of the others, as our driver model takes it."""
    place, lane, speed = (np.array([column[1:]]) for column in zip(*cars, strict=True))
    nothing = np.zeros(place.shape, bool)
    return View(place - cars[0][0], lane, speed, nothing, ~nothing)


@pytest.fixture
def pointlike(monkeypatch):
    """Our cars as highway-env's: their gap is measured from center to center."""
    monkeypatch.setattr(ours, "CAR", Kind(DESIRED, 0.0))


@pytest.mark.parametrize("trial", range(20))
def test_the_accelerations_of_followers_agree(rng, trial):
    speed, distance = rng.uniform(0, 35), rng.uniform(6, 200)
    # Where the dynamic part of the desired gap is not negative.
    slowest = -MATCHED.time_gap * 2 * np.sqrt(15)
    approach = rng.uniform(slowest, 30)
    road = road_of((500, 1, speed), (500 + distance, 1, speed - approach))
    car, leader = road.vehicles
    car.randomize_behavior()
    assert 3.5 <= car.DELTA <= 4.5
    driver = Driver(3.0, 5.0, 1.5, min_gap=10.0, exponent=car.DELTA)
    expected = car.acceleration(car, leader)
    assert follow(speed, distance, approach, DESIRED, driver) == pytest.approx(expected, rel=1e-9)
    assert follow(speed, np.inf, 0.0, DESIRED, driver) == pytest.approx(car.acceleration(car))


def test_a_leader_who_drives_off_is_where_they_part():
    car, leader = road_of((500, 1, 20), (520, 1, 60)).vehicles
    # s* = 10 + 20 · 1.5 − 20 · 40 / (2 √15) = −63.28, beside 10 in ours.
    free = 3 * (1 - (20 / DESIRED) ** 4)
    assert car.acceleration(car, leader) == pytest.approx(free - 3 * (63.2795559 / 20) ** 2)
    assert follow(20.0, 20.0, -40.0, DESIRED, MATCHED) == pytest.approx(free - 3 * (10 / 20) ** 2)


def test_a_speed_limit_is_the_desired_speed():
    car, leader = road_of((500, 1, 20), (560, 1, 15), speed_limit=25).vehicles
    expected = follow(20.0, 60.0, 5.0, 25.0, MATCHED)
    assert car.acceleration(car, leader) == pytest.approx(float(expected))


@pytest.mark.parametrize("trial", range(20))
@pytest.mark.parametrize("politeness", [0.0, 0.4])
def test_mobil_agrees(rng, pointlike, trial, politeness):
    cars = random_cars(rng, 13)
    car, *others = road_of(*cars).vehicles
    car.POLITENESS = politeness
    driver = Driver(**{**vars(MATCHED), "politeness": politeness})
    view, own = as_view(cars), (np.array([cars[0][1]]), np.array([cars[0][2]]), np.array([False]))
    expected, theirs = plan(view, *own, 3, driver), highway.ask(car, others)
    np.testing.assert_allclose(theirs.acceleration, expected.acceleration[0].clip(-6, 6))
    np.testing.assert_allclose(theirs.advantage, expected.advantage[0], rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(theirs.is_safe, expected.is_safe[0])
    worth = expected.is_safe[0] & (expected.advantage[0] > driver.threshold)
    for side, is_worth in zip((-1, 1), worth, strict=True):
        lane = cars[0][1] + side
        assert (lane in range(3)) or not is_worth
        if lane in range(3):
            assert car.mobil(("0", "1", lane)) == is_worth
    # The better one is ours, the right one is theirs.
    assert theirs.change == (2 if worth.all() else expected.change[0])
    if worth.any():
        assert expected.change[0] > 0


@pytest.mark.parametrize("trial", range(5))
def test_the_cars_to_which_a_driver_reacts_agree(rng, pointlike, monkeypatch, trial):
    cars = random_cars(rng, 9)
    car, *_ = road_of(*cars).vehicles
    reading = highway.read(car)
    view, own = as_view(cars), (np.array([cars[0][1]]), np.array([cars[0][2]]), np.array([False]))

    def matched(view, lane, speed, truck, lanes):
        planned = plan(view, lane, speed, truck, lanes, MATCHED)
        return planned._replace(acceleration=planned.acceleration.clip(-6, 6))

    monkeypatch.setattr("attn_jax.tasks.driving.scenes.plan", matched)
    _, expected = reactions(view, *own, 3)
    np.testing.assert_array_equal(reading.reacted.T, expected[0])


def running(rng, lanes=3):
    """Return a road on which cars have driven for some time."""
    *_, road = highway._drive(lanes, rng)
    return road


def state(road):
    """Return everything of a road's vehicles that moves."""
    return [
        (*each.position, each.speed, each.heading, each.timer, each.target_lane_index, each.action)
        for each in road.vehicles
    ]


def test_a_reading_holds_what_the_vehicles_are_and_do(rng):
    road = running(rng)
    before = copy.deepcopy(state(road))
    readings = [highway.read(each) for each in road.vehicles]
    assert state(road) == before
    for vehicle, reading in zip(road.vehicles, readings, strict=True):
        near = [o for o in road.vehicles if abs(o.position[0] - vehicle.position[0]) <= 150]
        near.remove(vehicle)
        np.testing.assert_allclose(
            reading.ahead, [o.position[0] - vehicle.position[0] for o in near], atol=1e-9
        )
        # The lanes of highway-env are 4 m wide, and the first is at 0.
        np.testing.assert_allclose(reading.lane, [o.position[1] / 4 for o in near], atol=1e-9)
        np.testing.assert_array_equal(reading.speed, [o.speed for o in near])
        np.testing.assert_array_equal(reading.truck, [o.target_speed < 25 for o in near])
        own = (vehicle.position[1] / 4, vehicle.speed, vehicle.target_speed < 25)
        assert reading.own == pytest.approx(own)
        # What they do on the road itself, with their lane kept, is what was read.
        if reading.is_whole and vehicle.lane_index == vehicle.target_lane_index:
            vehicle.enable_lane_change = False
            vehicle.act()
            whole = reading.planned
            assert vehicle.action["acceleration"] == pytest.approx(whole.acceleration, abs=MATTERS)
            vehicle.timer = 2.0
            vehicle.change_lane_policy()
            side = vehicle.target_lane_index[2] - vehicle.lane_index[2]
            assert {0: 0, -1: 1, 1: 2}[side] == whole.change
            vehicle.target_lane_index = vehicle.lane_index
    assert sum(each.is_whole for each in readings) > len(readings) / 2


def test_the_truth_is_what_removing_each_car_from_the_road_does(rng):
    road = running(rng)
    everyone = list(road.vehicles)
    vehicle = everyone[len(everyone) // 2]
    reading = highway.read(vehicle)
    vehicle.enable_lane_change = False

    def acts(vehicles):
        road.vehicles = [vehicle, *vehicles]
        vehicle.act()
        return vehicle.action["acceleration"]

    near = highway.in_sight(vehicle)
    planned = acts(near)
    assert reading.planned.acceleration == planned
    assert reading.free == acts([])
    changed = [abs(acts([o for o in near if o is not each]) - planned) >= MATTERS for each in near]
    np.testing.assert_array_equal(reading.reacted[:, 0], changed)


def test_an_obstacle_is_read_as_a_car_that_stands():
    road = road_of((500, 1, 20))
    (car,) = road.vehicles
    lane = road.network.get_lane(("0", "1", 1))
    road.objects.append(Obstacle(road, lane.position(560, 0)))
    reading = highway.read(car)
    assert (reading.ahead, reading.lane, reading.speed) == (60, 1, 0)
    # s* = 10 + 20 · 1.5 + 20 · 20 / (2 √15) = 91.64, at a gap of 60.
    braking = 3 * (1 - (20 / DESIRED) ** 4 - (91.6397779 / 60) ** 2)
    assert reading.planned.acceleration == pytest.approx(braking)
    np.testing.assert_allclose(reading.planned.advantage, 3 * (91.6397779 / 60) ** 2)
    assert reading.reacted.all()
    # Beyond sight it is not shown, and the driver brakes all the same.
    road.objects[0].position[0] = 660
    reading = highway.read(car)
    assert len(reading.ahead) == 0
    assert not reading.is_whole


def test_a_car_that_changes_lanes_is_the_leader_on_both(rng):
    road = road_of((500, 0, 25), (500, 1, 25), (540, 0, 20))
    road.vehicles[2].position[1] = 2.0
    for vehicle in road.vehicles[:2]:
        reading = highway.read(vehicle)
        assert 0.5 in reading.lane
        assert reading.reacted[reading.lane == 0.5, 0].all()


def test_the_task_has_scenes_of_highway_env():
    task = Driving(name="highway_env", train=20, validation=3, test=7, seed=SEED % 1000)
    bucket = task.load()["train"][0]
    assert (bucket["change"] > 0).sum() == 6
    seen = bucket["exists"].sum(-1) - 1
    assert (seen >= 5).all()
    assert (seen <= 15).all()
    assert not bucket["reacted"][:, :, 0].any()
    assert not (bucket["reacted"] & ~bucket["exists"][:, None]).any()
    assert bucket["reacted"][:, 0].any(-1).mean() > 0.5
    ahead = bucket["place"] - bucket["place"][:, :1]
    assert (np.abs(ahead)[bucket["exists"]] <= 150.001).all()
    again = Driving(name="highway_env", train=20, validation=2, test=7, seed=SEED % 1000)
    for name, array in again.bucket("train").items():
        np.testing.assert_array_equal(array, bucket[name])
    other = Driving(train=20, validation=3, test=7).bucket("train")
    for arrays in (other, bucket):
        assert arrays.keys() == bucket.keys()
        assert all(arrays[name].shape == bucket[name].shape for name in bucket)
    cars = np.asarray(task.prepare(bucket)["cars"])
    np.testing.assert_allclose(cars[..., 1][bucket["exists"]], bucket["lane"][bucket["exists"]] - 1)
