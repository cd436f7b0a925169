"""The driver: how it accelerates (the intelligent-driver model) and changes lanes (MOBIL)."""

import dataclasses
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["CAR", "TRUCK", "Driver", "Kind", "Plan", "View", "follow", "plan"]

_CLOSEST = 0.1
"""The smallest gap in meters that is computed with; cars that overlap have this one."""

SIDES = (-1, 1)
"""The lanes to either side, left first."""


class Kind(NamedTuple):
    """A kind of vehicle.

    Attributes:
        desired_speed: In m/s.
        length: In meters.
    """

    desired_speed: float
    length: float


CAR = Kind(120 / 3.6, 5.0)
TRUCK = Kind(80 / 3.6, 12.0)


@dataclasses.dataclass(frozen=True)
class Driver:
    """The parameters of a driver, in meters and seconds.

    Those of the acceleration are of Treiber et al. (2000), table I. Those of the lane changes are
    of Kesting et al. (2007), whose drivers are polite to different degrees.
    """

    max_acceleration: float = 0.73
    """a: the acceleration of a car that stands on a free road."""

    comfortable_braking: float = 1.67
    """b: the deceleration to which a driver tends."""

    time_gap: float = 1.6
    """T: the time to the leader that a driver keeps."""

    hardest_braking: float = 9.0
    """The hardest braking of a car, to which its acceleration is cut off."""

    min_gap: float = 2.0
    """s0: the gap between cars that stand."""

    exponent: float = 4.0
    """δ: how late a driver who accelerates eases off."""

    politeness: float = 0.2
    """p: how much the accelerations of the cars behind count, beside the driver's own."""

    threshold: float = 0.1
    """Δa_th: the advantage for which a driver changes lanes."""

    safe_braking: float = 4.0
    """b_safe: the most that a lane change may make the car behind brake."""


class View(NamedTuple):
    """Cars around a driver, each an array (..., k).

    Attributes:
        ahead: How far each car's center is ahead of the driver's, in meters.
        lane: The lane of each.
        speed: The speed of each, in m/s.
        truck: Whether each is a truck.
        exists: Whether there is such a car.
    """

    ahead: NDArray
    lane: NDArray
    speed: NDArray
    truck: NDArray
    exists: NDArray


class Plan(NamedTuple):
    """What a driver does.

    Attributes:
        acceleration: In m/s², no lower than the hardest braking.
        advantage: What MOBIL compares with its threshold, for the left and the right, (..., 2);
            minus infinity where there is no lane.
        is_safe: Whether the car that would be behind could brake, (..., 2).
        change: 0 to stay, 1 to change to the left, 2 to the right.
    """

    acceleration: NDArray
    advantage: NDArray
    is_safe: NDArray
    change: NDArray


def follow(
    speed: float | NDArray,
    gap: float | NDArray,
    approach: float | NDArray,
    desired_speed: float | NDArray,
    driver: Driver | None = None,
) -> NDArray:
    r"""Return the acceleration of the intelligent-driver model.

    .. math::
        a \left[1 - \left(\frac{v}{v_0}\right)^\delta - \left(\frac{s^*}{s}\right)^2\right],
        \quad s^* = s_0 + \max\left(0, v T + \frac{v\,\Delta v}{2\sqrt{ab}}\right)

    Args:
        speed: v, the driver's speed.
        gap: s, from bumper to bumper; infinite without a leader.
        approach: Δv, by how much the driver is faster than the leader.
        desired_speed: v₀.
        driver: The other parameters.

    Example:
        >>> float(follow(0.0, np.inf, 0.0, 30.0))
        0.73

    References:
        Treiber, Hennecke and Helbing, "Congested traffic states in empirical observations and
        microscopic simulations", 2000, equations 2 and 3. https://arxiv.org/abs/cond-mat/0002177
    """
    own = driver or Driver()
    speed = np.asarray(speed, float)
    braking = 2 * np.sqrt(own.max_acceleration * own.comfortable_braking)
    dynamic = speed * own.time_gap + speed * np.asarray(approach) / braking
    wish = own.min_gap + np.maximum(0, dynamic)
    near = (wish / np.maximum(gap, _CLOSEST)) ** 2
    return np.asarray(own.max_acceleration * (1 - (speed / desired_speed) ** own.exponent - near))


def plan(
    view: View,
    lane: NDArray,
    speed: NDArray,
    truck: NDArray,
    lanes: int,
    driver: Driver | None = None,
) -> Plan:
    r"""Return what drivers do, who see some cars.

    A lane change is safe if the car that would be behind accelerates by more than
    :math:`-b_\text{safe}`, and worth it if

    .. math:: \tilde a_c - a_c + p\,(\tilde a_n - a_n + \tilde a_o - a_o) > \Delta a_\text{th}

    for the accelerations of the driver, the new and the old car behind, after (~) and before.

    Args:
        view: The cars that each driver sees, (..., k).
        lane: The lane of each driver, (...).
        speed: The speed of each.
        truck: Whether each drives a truck.
        lanes: The number of lanes.
        driver: The parameters.

    References:
        Kesting, Treiber and Helbing, "General Lane-Changing Model MOBIL for Car-Following Models",
        2007, equations 2 and 3.
    """
    own = driver or Driver()
    lane = np.asarray(lane)
    ego = _Seen(np.zeros(lane.shape), np.asarray(speed, float), np.asarray(truck))
    leader, behind = (_nearest(view, lane, direction) for direction in (1, -1))
    before = _react(ego, leader, own)
    old = _react(behind, leader, own) - _react(behind, ego, own)
    gains, safe = [], []
    for side in SIDES:
        new_leader, new_behind = (_nearest(view, lane + side, d) for d in (1, -1))
        braked = _react(new_behind, ego, own)
        others = braked - _react(new_behind, new_leader, own) + old
        gain = _react(ego, new_leader, own) - before + own.politeness * others
        is_lane = (lane + side >= 0) & (lane + side < lanes)
        gains.append(np.where(is_lane, gain, -np.inf))
        safe.append(is_lane & (braked > -own.safe_braking))
    advantage, is_safe = np.stack(gains, -1), np.stack(safe, -1)
    worth = np.where(is_safe, advantage, -np.inf)
    change = np.where(worth.max(-1) > own.threshold, 1 + worth.argmax(-1), 0)
    return Plan(np.maximum(before, -own.hardest_braking), advantage, is_safe, change)


class _Seen(NamedTuple):
    """A car, or no car where `ahead` is infinite; each an array (...)."""

    ahead: NDArray
    speed: NDArray
    truck: NDArray


def _nearest(view: View, lane: NDArray, direction: int) -> _Seen:
    """Return the nearest car of a lane ahead (direction 1) or behind (−1)."""
    # A car exactly beside is behind.
    is_there = (view.ahead > 0) if direction > 0 else (view.ahead <= 0)
    distance = direction * view.ahead
    distance = np.where(
        view.exists & is_there & (view.lane == np.asarray(lane)[..., None]), distance, np.inf
    )
    index = distance.argmin(-1)[..., None]
    speed, truck = (np.take_along_axis(a, index, -1)[..., 0] for a in (view.speed, view.truck))
    return _Seen(direction * distance.min(-1), speed, truck)


def _react(car: _Seen, leader: _Seen, driver: Driver) -> NDArray:
    """Return the acceleration of a car behind another; zero where there is no car."""
    exists = np.isfinite(car.ahead)
    distance = leader.ahead - np.where(exists, car.ahead, 0)
    lengths = _of(car.truck, "length") + _of(leader.truck, "length")
    approach = np.where(np.isfinite(leader.ahead), car.speed - leader.speed, 0)
    gap, desired = distance - lengths / 2, _of(car.truck, "desired_speed")
    return np.where(exists, follow(car.speed, gap, approach, desired, driver), 0)


def _of(truck: NDArray, name: str) -> NDArray:
    return np.where(truck, getattr(TRUCK, name), getattr(CAR, name))
