"""Roads with several lanes on which drivers follow and overtake each other."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attn_jax.tasks.driving.driver import CAR, TRUCK, View, plan

__all__ = ["Traffic", "seen_from_each", "simulate"]

SIGHT = 150.0
"""How far drivers see, in meters, ahead and back."""

LENGTH = 1000.0
"""The length of a ring in meters."""

TRUCKS = 0.25
"""The share of trucks."""

_STEP = 0.5
"""The seconds of a step."""


class Traffic(NamedTuple):
    """Cars on some rings of road, each array (roads, cars).

    Attributes:
        place: The center of each car along the road, in meters.
        lane: The lane of each.
        speed: The speed of each, in m/s.
        truck: Whether each is a truck.
        exists: Whether there is such a car.
    """

    place: NDArray
    lane: NDArray
    speed: NDArray
    truck: NDArray
    exists: NDArray


def simulate(
    roads: int,
    lanes: int,
    cars: tuple[int, int],
    noise: float,
    rng: np.random.Generator,
    *,
    times: Sequence[float],
) -> Iterator[Traffic]:
    """Simulate rings of road.

    The cars are spread evenly over the lanes at first, their speeds random, and one in four is a
    truck. All accelerations are the driver's plus noise. Of the cars of a road that want to change
    lanes, one drawn at random does so in each step.

    Args:
        roads: The number of rings.
        lanes: The lanes of each.
        cars: The fewest and the most cars of a ring.
        noise: The standard deviation of the noise of accelerations, in m/s².
        rng: The source of randomness.
        times: When to look, in seconds, in rising order.

    Yields:
        The traffic at each of the times.
    """
    traffic, now = _start(roads, lanes, cars, rng), 0.0
    for time in times:
        for _ in range(round((time - now) / _STEP)):
            traffic = _advanced(traffic, lanes, noise, rng)
        now = time
        yield traffic


def _start(roads: int, lanes: int, cars: tuple[int, int], rng: np.random.Generator) -> Traffic:
    shape = (roads, cars[1])
    count = rng.integers(cars[0], cars[1] + 1, roads)[:, None]
    number = np.arange(cars[1])[None]
    truck = rng.random(shape) < TRUCKS
    desired = np.where(truck, TRUCK.desired_speed, CAR.desired_speed)
    return Traffic(
        place=number * LENGTH / count + rng.uniform(-2, 2, shape),
        # Cars next to each other are in different lanes, so that no two overlap.
        lane=(number + rng.integers(lanes, size=(roads, 1))) % lanes,
        speed=desired * rng.uniform(0.4, 1, shape),
        truck=truck,
        exists=np.broadcast_to(number < count, shape),
    )


def seen_from_each(traffic: Traffic) -> View:
    """Return what the driver of every car sees, (roads, cars, cars)."""
    ahead = traffic.place[:, None, :] - traffic.place[:, :, None]
    ahead = (ahead + LENGTH / 2) % LENGTH - LENGTH / 2
    is_other = ~np.eye(ahead.shape[-1], dtype=bool)[None]
    near = (np.abs(ahead) <= SIGHT) & is_other
    exists = near & traffic.exists[:, None] & traffic.exists[:, :, None]
    others = (traffic.lane, traffic.speed, traffic.truck)
    lane, speed, truck = (np.broadcast_to(array[:, None], ahead.shape) for array in others)
    return View(ahead, lane, speed, truck, exists)


def _advanced(traffic: Traffic, lanes: int, noise: float, rng: np.random.Generator) -> Traffic:
    """Return the traffic a step later."""
    view = seen_from_each(traffic)
    planned = plan(view, traffic.lane, traffic.speed, traffic.truck, lanes)
    wants = (planned.change > 0) & traffic.exists
    drawn = np.where(wants, rng.random(wants.shape), -1).argmax(-1)[:, None]
    changes = wants & (np.arange(wants.shape[1])[None] == drawn)
    acceleration = planned.acceleration + noise * rng.standard_normal(wants.shape)
    speed = np.maximum(0, traffic.speed + acceleration * _STEP)
    return traffic._replace(
        place=(traffic.place + (traffic.speed + speed) / 2 * _STEP) % LENGTH,
        lane=traffic.lane + np.where(changes, 2 * planned.change - 3, 0),
        speed=speed,
    )
