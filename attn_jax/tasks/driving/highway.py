"""Scenes read out of highway-env, whose own vehicles drive and say what they react to."""

import copy
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attn_jax._extras import MissingPackageError
from attn_jax.tasks.driving.driver import CAR, SIDES, TRUCK, Plan, View
from attn_jax.tasks.driving.road import SIGHT, TRUCKS
from attn_jax.tasks.driving.scenes import Scenes, assemble, matters

__all__ = ["Reading", "ask", "draw_highway_scenes", "in_sight", "read", "scenes_of"]

_TIMES = (0.4, 1.0, 2.0, 3.0)
"""When scenes are read, in seconds. Later, few drivers want to change lanes."""

_STEP = 0.2
"""The seconds of a step, those of highway-env's `highway-fast-v0`."""

_CARS = 30
_SPACING = (1.3, 2.2)
"""The least and the most spacing of the cars of a road, in the units of highway-env."""

_TRUCK_LENGTH = (CAR.length + TRUCK.length) / 2
"""Longer vehicles are trucks."""


class Reading(NamedTuple):
    """What a vehicle sees and does; arrays have an entry for each of the others in sight.

    Attributes:
        own: The lane of the vehicle itself, its speed, and whether it is a truck.
        ahead: How far the others are ahead, in meters.
        lane: Their lanes, with a fraction by how far they are from the middle.
        speed: Their speeds.
        truck: Whether each is a truck.
        planned: What the vehicle does.
        free: Its acceleration on an empty road.
        reacted: Whether each matters to the acceleration, and to the lane, (k, 2).
        is_whole: Whether nothing out of sight matters.
    """

    own: tuple[float, float, bool]
    ahead: NDArray
    lane: NDArray
    speed: NDArray
    truck: NDArray
    planned: Plan
    free: NDArray
    reacted: NDArray
    is_whole: bool


def ask(vehicle: Any, others: Sequence[Any]) -> Plan:
    """Ask a vehicle what it would do on the same road with these others alone.

    The acceleration is that of its `act`, with the lane kept. Whether it changes lanes is what its
    `change_lane_policy` says when it is due. The two terms of MOBIL, which it computes and does not
    tell, are put together from its `acceleration`. Nothing on the road is altered.

    Args:
        vehicle: An `IDMVehicle` of highway-env.
        others: Vehicles or obstacles of its road.
    """
    driver, road = copy.copy(vehicle), copy.copy(vehicle.road)
    road.vehicles, road.objects = list(others), []
    driver.road, driver.enable_lane_change, driver.timer = road, False, np.inf
    driver.act()
    segment, number = vehicle.lane_index[:2], vehicle.lane_index[2]
    lanes = [(*segment, number + side) for side in SIDES]
    there = road.network.side_lanes(vehicle.lane_index)
    terms = [_mobil(driver, lane) if lane in there else (-np.inf, False) for lane in lanes]
    advantage, is_safe = map(np.array, zip(*terms, strict=True))
    driver.change_lane_policy()
    change = (0, *SIDES).index(driver.target_lane_index[2] - number)
    return Plan(np.array(driver.action["acceleration"]), advantage, is_safe, np.array(change))


def _mobil(driver: Any, lane: tuple[str, str, int]) -> tuple[float, bool]:
    """Return the advantage of a lane, and whether the car that would be behind could brake."""
    leader, behind = driver.road.neighbour_vehicles(driver)
    new_leader, new_behind = driver.road.neighbour_vehicles(driver, lane)
    react = driver.acceleration
    braked = react(new_behind, driver)
    others = braked - react(new_behind, new_leader) + react(behind, leader) - react(behind, driver)
    gain = react(driver, new_leader) - react(driver, leader) + driver.POLITENESS * others
    return float(gain), bool(braked >= -driver.LANE_CHANGE_MAX_BRAKING_IMPOSED)


def in_sight(vehicle: Any) -> list[Any]:
    """Return the vehicles and obstacles that are no farther ahead or behind than drivers see."""
    road = vehicle.road
    others = [each for each in (*road.vehicles, *road.objects) if each is not vehicle]
    return [each for each in others if abs(vehicle.lane_distance_to(each)) <= SIGHT]


def read(vehicle: Any) -> Reading:
    """Read what a vehicle sees, what it does, and to which of the others it reacts.

    Each vehicle or obstacle that a decision can depend on, the nearest ahead and behind on its lane
    and those beside, is left out in turn, and the vehicle asked again.

    Args:
        vehicle: An `IDMVehicle` of a road of highway-env whose lanes are parallel.
    """
    road, lane = vehicle.road, vehicle.lane
    others = in_sight(vehicle)
    planned, reacted = _reacted(vehicle, others)
    whole = ask(vehicle, [each for each in (*road.vehicles, *road.objects) if each is not vehicle])
    places = [lane.local_coordinates(each.position) for each in (vehicle, *others)]
    along, across = np.array(places).T
    lanes = vehicle.lane_index[2] + across / lane.width_at(along[0])
    return Reading(
        own=(float(lanes[0]), float(vehicle.speed), _is_truck(vehicle)),
        ahead=along[1:] - along[0],
        lane=lanes[1:],
        speed=np.array([each.speed for each in others]),
        truck=np.array([_is_truck(each) for each in others], bool),
        planned=planned,
        free=ask(vehicle, []).acceleration,
        reacted=reacted,
        is_whole=bool(whole.change == planned.change and not matters(whole, planned).any()),
    )


def _is_truck(vehicle: Any) -> bool:
    return vehicle.LENGTH > _TRUCK_LENGTH


def _reacted(vehicle: Any, others: Sequence[Any]) -> tuple[Plan, NDArray]:
    """Return what a vehicle does, and which of the others matter, (k, 2)."""
    planned, reacted = ask(vehicle, others), np.zeros((len(others), 2), bool)
    road = copy.copy(vehicle.road)
    road.vehicles, road.objects = list(others), []
    lanes = [vehicle.lane_index, *road.network.side_lanes(vehicle.lane_index)]
    near = [each for lane in lanes for each in road.neighbour_vehicles(vehicle, lane)]
    for index, other in enumerate(others):
        if any(other is each for each in near):
            without = ask(vehicle, [each for each in others if each is not other])
            reacted[index] = matters(planned, without)
    return planned, reacted


def draw_highway_scenes(
    count: int, lanes: int, seen: tuple[int, int], changing: float, rng: np.random.Generator
) -> Scenes:
    """Draw scenes from straight roads of highway-env, on which its `IDMVehicle` drive.

    Its `create_random` puts them on the roads. One in four is a truck, and the kinds have the
    lengths and desired speeds of the rings of :mod:`~attn_jax.tasks.driving.road`. All drivers
    that fit are taken at each of some times: they see as many others as asked for, are neither
    changing lanes nor crashed, and nothing out of sight matters to them.

    Args:
        count: The number of scenes.
        lanes: The number of lanes.
        seen: The fewest and the most cars that a driver sees.
        changing: The share of scenes whose driver changes lanes.
        rng: The source of randomness.

    Raises:
        MissingPackageError: If the package `highway-env` is not installed.
    """
    if find_spec("highway_env") is None:
        raise MissingPackageError(
            "the package 'highway_env' is missing: pip install highway-env==1.12.1",
            name="highway_env",
        )
    missing = {True: round(count * changing), False: count - round(count * changing)}
    chosen: list[Reading] = []
    while any(missing.values()):
        for road in _drive(lanes, rng):
            for vehicle in road.vehicles:
                others = in_sight(vehicle)
                stays = vehicle.lane_index == vehicle.target_lane_index
                if vehicle.crashed or not (stays and seen[0] <= len(others) <= seen[1]):
                    continue
                changes = bool(ask(vehicle, others).change)
                if missing[changes] and (reading := read(vehicle)).is_whole:
                    chosen.append(reading)
                    missing[changes] -= 1
    return scenes_of([chosen[index] for index in rng.permutation(count)], seen[1], rng)


def _drive(lanes: int, rng: np.random.Generator) -> Iterator[Any]:
    """Yield a road of highway-env at each of some times."""
    from highway_env.road.road import Road, RoadNetwork  # pyright: ignore[reportMissingImports]
    from highway_env.vehicle.behavior import IDMVehicle  # pyright: ignore[reportMissingImports]

    class Truck(IDMVehicle):
        LENGTH = TRUCK.length
        DISTANCE_WANTED = 5.0 + LENGTH

    road = Road(RoadNetwork.straight_road_network(lanes, speed_limit=None), np_random=rng)
    spacing = rng.uniform(*_SPACING)
    for _ in range(_CARS):
        kind, driver = (TRUCK, Truck) if rng.random() < TRUCKS else (CAR, IDMVehicle)
        speed = kind.desired_speed * rng.uniform(0.6, 1)
        vehicle = driver.create_random(road, speed, spacing=spacing)
        vehicle.target_speed = kind.desired_speed
        road.vehicles.append(vehicle)
    now = 0.0
    for time in _TIMES:
        for _ in range(round((time - now) / _STEP)):
            road.act()
            road.step(_STEP)
        now = time
        yield road


def scenes_of(readings: Sequence[Reading], most: int, rng: np.random.Generator) -> Scenes:
    """Put readings into arrays, the cars of each in random order.

    Args:
        readings: What some vehicles see and do.
        most: The number of cars that there is room for.
        rng: The source of randomness.
    """
    orders = [rng.permutation(len(each.ahead)) for each in readings]

    def padded(name: str) -> NDArray:
        first = getattr(readings[0], name)
        rows = np.zeros((len(readings), most, *first.shape[1:]), first.dtype)
        for row, each, order in zip(rows, readings, orders, strict=True):
            row[: len(order)] = getattr(each, name)[order]
        return rows

    def stacked(name: str) -> NDArray:
        return np.stack([getattr(each, name) for each in readings])

    exists = np.arange(most) < np.array([[len(order)] for order in orders])
    view = View(padded("ahead"), padded("lane"), padded("speed"), padded("truck"), exists)
    lane, speed, truck = stacked("own").T
    planned = Plan(*map(np.stack, zip(*(each.planned for each in readings), strict=True)))
    own = (lane.astype(np.float32), speed, truck)
    return assemble(view, own, planned, stacked("free"), padded("reacted").swapaxes(1, 2), rng)
