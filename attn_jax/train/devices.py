"""Placement of arrays: batches are split over the mesh axis `data`, the rest is replicated."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int

from attn_jax.train.protocols import Batch

AXIS = "data"


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Return a mesh of one axis, `data`, over all devices or those given.

    The axis has the type Auto: under Explicit axes, replicated data cannot be gathered by sharded
    indices.

    Args:
        devices: The devices; None for all.

    Returns:
        The mesh; with a single device, a mesh of one.

    Example:
        >>> dict(data_mesh(jax.devices()[:1]).shape)
        {'data': 1}
    """
    chosen = np.asarray(jax.devices() if devices is None else list(devices))
    return Mesh(chosen, (AXIS,), axis_types=(AxisType.Auto,))


def require_divisible(mesh: Mesh, **sizes: int) -> None:
    """Refuse batch sizes that the devices cannot share evenly.

    Args:
        mesh: The devices.
        **sizes: Sizes, by the names of their options.

    Raises:
        ValueError: If one is not a multiple of the number of devices.
    """
    count = mesh.size
    for name, size in sizes.items():
        if size % count:
            below, above = size // count * count, -(-size // count) * count
            nearest = " and ".join(str(n) for n in (below, above) if n)
            raise ValueError(
                f"{name}={size} must be a multiple of the {count} devices; the nearest multiples: "
                f"{nearest}."
            )


def replicated(mesh: Mesh) -> NamedSharding:
    """Return the sharding under which every device holds all of an array.

    Args:
        mesh: The devices.

    Returns:
        The sharding.
    """
    return NamedSharding(mesh, PartitionSpec())


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Put every array of a pytree on every device.

    Args:
        mesh: The devices.
        tree: Arrays, on the host or on devices.

    Returns:
        The pytree on the devices.
    """
    return jax.device_put(tree, replicated(mesh))


def split_batch(mesh: Mesh, batch: Any) -> Any:
    """Constrain a batch, inside jit, to be split over the devices.

    Args:
        mesh: The devices.
        batch: Arrays that share their leading axis.

    Returns:
        The batch.
    """
    return jax.lax.with_sharding_constraint(batch, NamedSharding(mesh, PartitionSpec(AXIS)))


def gather(mesh: Mesh, data: Batch, indices: Int[Array, " batch"]) -> Batch:
    """Gather the examples of one batch, inside jit, split over the devices.

    Args:
        mesh: The devices.
        data: All examples, on every device.
        indices: Indices of the examples to gather.

    Returns:
        The batch, split over the devices.
    """
    rows = {name: array.at[indices].get(mode="promise_in_bounds") for name, array in data.items()}
    return split_batch(mesh, rows)
