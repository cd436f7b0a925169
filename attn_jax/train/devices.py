"""Where arrays lie: one mesh with the axis `data`, batches split over it, all else replicated."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int

from attn_jax.train.protocols import Batch

AXIS = "data"


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh of one axis, `data`, over all devices or those given.

    Its axis is of type Auto: under Explicit axes, data that every device holds could not be
    gathered by indices that are split over them.

    Args:
        devices: The devices; all that there are where None.

    Returns:
        The mesh; of a single device it is a mesh of one.

    Example:
        >>> dict(data_mesh(jax.devices()[:1]).shape)
        {'data': 1}
    """
    chosen = np.asarray(jax.devices() if devices is None else list(devices))
    return Mesh(chosen, (AXIS,), axis_types=(AxisType.Auto,))


def require_divisible(mesh: Mesh, **sizes: int) -> None:
    """Refuses batch sizes that the devices cannot share evenly.

    Args:
        mesh: The devices.
        **sizes: Sizes by the name of their option.

    Raises:
        ValueError: If one of them is no multiple of the number of devices.
    """
    count = mesh.size
    for name, size in sizes.items():
        if size % count:
            below, above = size // count * count, -(-size // count) * count
            nearest = " and ".join(str(n) for n in (below, above) if n)
            raise ValueError(
                f"{name}={size} must be a multiple of the {count} devices; the nearest: {nearest}."
            )


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds all of an array.

    Args:
        mesh: The devices.

    Returns:
        The sharding.
    """
    return NamedSharding(mesh, PartitionSpec())


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Puts all of every array of a pytree on every device.

    Args:
        mesh: The devices.
        tree: Arrays, of the host or of devices.

    Returns:
        The pytree on the devices.
    """
    return jax.device_put(tree, replicated(mesh))


def split_batch(mesh: Mesh, batch: Any) -> Any:
    """Constrains a batch, inside jit, to be split over the devices.

    Args:
        mesh: The devices.
        batch: Arrays that share their leading axis.

    Returns:
        The batch.
    """
    return jax.lax.with_sharding_constraint(batch, NamedSharding(mesh, PartitionSpec(AXIS)))


def gather(mesh: Mesh, data: Batch, indices: Int[Array, " batch"]) -> Batch:
    """Picks the examples of one batch, inside jit, each device its share.

    Args:
        mesh: The devices.
        data: All examples, on every device.
        indices: Which to pick.

    Returns:
        The batch, split over the devices.
    """
    rows = {name: array.at[indices].get(mode="promise_in_bounds") for name, array in data.items()}
    return split_batch(mesh, rows)
