"""Scenes of a simulated road: what a driver sees and does, and which cars made the difference."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attn_jax.tasks.driving.driver import Plan, View, plan
from attn_jax.tasks.driving.road import SIGHT, Traffic, seen_from_each, simulate

__all__ = ["MATTERS", "Scenes", "assemble", "draw_scenes", "matters", "reactions"]

MATTERS = 0.1
"""A car matters if without it an acceleration or advantage differs by at least so much, in m/s²."""

_ROADS = 128
_CARS = (15, 45)
_TIMES = (4.0, 6.0, 8.0, 10.0)
"""When scenes are taken from a simulation. Later, the traffic has settled and little happens."""


class Scenes(NamedTuple):
    """Scenes as arrays; of those with a second axis, row 0 is the driver's own car.

    Attributes:
        place: The center of each car along the road, in meters, (n, k).
        lane: Its lane, (n, k); of highway-env with a fraction, by how far it is from the middle.
        speed: Its speed in m/s, (n, k).
        truck: Whether it is a truck, (n, k).
        exists: Whether there is such a car, (n, k).
        driven: The acceleration of the driver, without noise, (n,).
        free: What it would be if the driver saw nobody, (n,).
        change: 0 to stay, 1 to change to the left, 2 to the right, (n,).
        reacted: Which cars matter to the acceleration, and which to the lane, (n, 2, k).
    """

    place: NDArray
    lane: NDArray
    speed: NDArray
    truck: NDArray
    exists: NDArray
    driven: NDArray
    free: NDArray
    change: NDArray
    reacted: NDArray


def draw_scenes(
    count: int,
    lanes: int,
    seen: tuple[int, int],
    changing: float,
    noise: float,
    rng: np.random.Generator,
) -> Scenes:
    """Draw scenes from simulated roads.

    Args:
        count: The number of scenes.
        lanes: The number of lanes.
        seen: The fewest and the most cars that a driver sees.
        changing: The share of scenes whose driver changes lanes.
        noise: The standard deviation of the noise of accelerations in the simulation.
        rng: The source of randomness.
    """
    missing = {True: round(count * changing), False: count - round(count * changing)}
    parts: list[Scenes] = []
    roads = min(_ROADS, count)
    while any(missing.values()):
        for traffic in simulate(roads, lanes, _CARS, noise, rng, times=_TIMES):
            view = seen_from_each(traffic)
            is_changing = plan(view, *_own(traffic), lanes).change > 0
            number = view.exists.sum(-1)
            fits = traffic.exists & (number >= seen[0]) & (number <= seen[1])
            for changes, needed in missing.items():
                road, car = np.nonzero(fits & (is_changing == changes))
                # At most as many of a batch as it has roads, drawn at random.
                few = rng.permutation(len(road))[: min(needed, roads)]
                if len(few):
                    parts.append(_scenes(traffic, view, road[few], car[few], lanes, seen[1], rng))
                missing[changes] -= len(few)
    order = rng.permutation(count)
    return Scenes(*(np.concatenate(arrays)[order] for arrays in zip(*parts, strict=True)))


def _own(traffic: Traffic) -> tuple[NDArray, NDArray, NDArray]:
    return traffic.lane, traffic.speed, traffic.truck


def _scenes(
    traffic: Traffic,
    view: View,
    road: NDArray,
    car: NDArray,
    lanes: int,
    most: int,
    rng: np.random.Generator,
) -> Scenes:
    """Return the scenes of some drivers, whose cars come in random order."""
    each = View(*(array[road, car] for array in view))
    order = np.where(each.exists, rng.random(each.exists.shape), 2).argsort(-1)[:, :most]
    each = View(*(np.take_along_axis(array, order, -1) for array in each))
    lane, speed, truck = (array[road, car] for array in _own(traffic))
    planned, reacted = reactions(each, lane, speed, truck, lanes)
    nobody = each._replace(exists=np.zeros_like(each.exists))
    free = plan(nobody, lane, speed, truck, lanes).acceleration
    return assemble(each, (lane.astype(np.int32), speed, truck), planned, free, reacted, rng)


def assemble(
    each: View,
    own: tuple[NDArray, NDArray, NDArray],
    planned: Plan,
    free: NDArray,
    reacted: NDArray,
    rng: np.random.Generator,
) -> Scenes:
    """Put drivers and the cars that they see into arrays.

    Args:
        each: The cars that each driver sees, (n, k).
        own: The lane, the speed and the kind of each driver, (n,).
        planned: What each driver does.
        free: The acceleration of each if it saw nobody.
        reacted: The cars that matter to each, (n, 2, k).
        rng: The source of the place where each stretch of road begins.
    """
    lane, speed, truck = own
    # The stretch of road begins somewhere behind the driver.
    start = rng.uniform(SIGHT, SIGHT + 100, len(lane))[:, None]

    def joined(own: NDArray, others: NDArray) -> NDArray:
        return np.concatenate([own[:, None], np.where(each.exists, others, 0)], 1)

    return Scenes(
        place=joined(start[:, 0], start + each.ahead).astype(np.float32),
        lane=joined(lane, each.lane).astype(lane.dtype),
        speed=joined(speed, each.speed).astype(np.float32),
        truck=joined(truck, each.truck).astype(bool),
        exists=np.pad(each.exists, ((0, 0), (1, 0)), constant_values=True),
        driven=planned.acceleration.astype(np.float32),
        free=free.astype(np.float32),
        change=planned.change.astype(np.int32),
        reacted=np.pad(reacted, ((0, 0), (0, 0), (1, 0))),
    )


def reactions(
    view: View, lane: NDArray, speed: NDArray, truck: NDArray, lanes: int
) -> tuple[Plan, NDArray]:
    """Return what drivers do, and the cars to which they react, found by removing each in turn.

    A car matters to the acceleration if without it the driver's differs by at least
    :data:`MATTERS`. It matters to the lane if without it the advantage of either side differs by
    as much, or a change is safe that was not, or the reverse.

    Args:
        view: The cars that each driver sees, (n, k).
        lane: The lane of each driver, (n,).
        speed: The speed of each.
        truck: Whether each drives a truck.
        lanes: The number of lanes.

    Returns:
        The plans, and booleans (n, 2, k): for the acceleration, and for the lane.
    """
    count = view.exists.shape[-1]
    without = View(*(np.repeat(array[:, None], count, 1) for array in view))
    without = without._replace(exists=without.exists & ~np.eye(count, dtype=bool))
    own_lane, own_speed, own_truck = (
        np.repeat(array[:, None], count, 1) for array in (lane, speed, truck)
    )
    planned = plan(view, lane, speed, truck, lanes)
    other = plan(without, own_lane, own_speed, own_truck, lanes)
    before = Plan(*(array[:, None] for array in planned))
    return planned, np.swapaxes(matters(before, other), 1, 2) & view.exists[:, None]


def matters(planned: Plan, without: Plan) -> NDArray:
    """Return whether a car matters to the acceleration, and whether to the lane, (..., 2).

    Args:
        planned: What the driver does.
        without: What the driver would do without the car.
    """
    accelerates = np.abs(without.acceleration - planned.acceleration) >= MATTERS
    is_lane = np.isfinite(planned.advantage)
    advantage, before = (np.where(is_lane, each.advantage, 0) for each in (without, planned))
    gains = (np.abs(advantage - before) >= MATTERS) | (without.is_safe != planned.is_safe)
    return np.stack([accelerates, gains.any(-1)], -1)
