"""Placement of arrays on a mesh: batches are split, the rest is whole on every device.

With an axis `fsdp`, parameters and the optimizer's state are split over it as well. Along an axis
`sequence`, devices share the tokens of attention.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int

from attn_jax.train.processes.channel import Processes
from attn_jax.train.protocols import Batch

T = TypeVar("T")

AXIS = "data"
FSDP = "fsdp"
SEQUENCE = "sequence"


def data_mesh(
    devices: Sequence[jax.Device] | None = None, *, fsdp: int = 1, sequence: int = 1
) -> Mesh:
    """Return a mesh over all devices, of all processes, or over those given.

    Its axis `data` has the type Auto: under Explicit axes, replicated data cannot be gathered by
    sharded indices.

    Args:
        devices: The devices; None for all.
        fsdp: How many devices share a copy of the parameters, along a second axis, `fsdp`, which
            batches are split over too. With 1 there is no such axis.
        sequence: How many devices share each sequence in attention, along a last axis, `sequence`,
            which batches are not split over. With 1 there is no such axis.

    Returns:
        The mesh; with a single device, a mesh of one.

    Raises:
        ValueError: If `fsdp` times `sequence` does not divide the number of devices.

    Example:
        >>> dict(data_mesh(jax.devices()[:1]).shape)
        {'data': 1}
    """
    chosen = np.asarray(jax.devices() if devices is None else list(devices))
    shares = {name: n for name, n in ((FSDP, fsdp), (SEQUENCE, sequence)) if n > 1}
    if chosen.size % (fsdp * sequence):
        asked = " times ".join(f"{name}={n}" for name, n in shares.items())
        raise ValueError(
            f"{asked} must divide the number of devices, {chosen.size}; choose one of "
            f"{[n for n in range(1, chosen.size + 1) if chosen.size % n == 0]}."
        )
    types = (AxisType.Auto,) * (1 + len(shares))
    return Mesh(chosen.reshape(-1, *shares.values()), (AXIS, *shares), axis_types=types)


def in_mesh(mesh: Mesh, apply: Callable[..., T]) -> Callable[..., T]:
    """Let a function that is traced know of the mesh's axis `sequence`, if there is one.

    Args:
        mesh: The devices.
        apply: The function.

    Returns:
        The function, whose attention goes around the ring of these devices.
    """
    if SEQUENCE not in mesh.shape:
        return apply

    @functools.wraps(apply)
    def applied(*args: Any, **options: Any) -> T:
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return apply(*args, **options)

    return applied


def processes_of(mesh: Mesh) -> Processes:
    """Return the processes whose devices a mesh has.

    Args:
        mesh: The devices.

    Returns:
        The processes of the run.

    Raises:
        ValueError: If the mesh has devices of some processes, but not of all.
    """
    if not mesh.is_multi_process:
        return Processes()
    count = len({device.process_index for device in mesh.devices.flat})
    if count != jax.process_count():
        raise ValueError(
            f"the devices are those of {count} processes, but must be of one or of all "
            f"{jax.process_count()}."
        )
    return Processes(jax.process_index(), count)


def require_divisible(mesh: Mesh, **sizes: int) -> None:
    """Refuse batch sizes that the devices cannot share evenly.

    Args:
        mesh: The devices.
        **sizes: Sizes, by the names of their options.

    Raises:
        ValueError: If one is not a multiple of the number of devices that batches are split over.
    """
    count = mesh.size // mesh.shape.get(SEQUENCE, 1)
    for name, size in sizes.items():
        if size % count:
            below, above = size // count * count, -(-size // count) * count
            nearest = " and ".join(str(n) for n in (below, above) if n)
            raise ValueError(
                f"{name}={size} must be a multiple of the {count} devices; the nearest multiples: "
                f"{nearest}."
            )


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Return the sharding under which each device holds its part of a batch.

    Args:
        mesh: The devices.

    Returns:
        The sharding.
    """
    return NamedSharding(mesh, PartitionSpec((AXIS, FSDP) if FSDP in mesh.shape else AXIS))


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
    sharding = replicated(mesh)
    if not mesh.is_multi_process:
        return jax.device_put(tree, sharding)
    return jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(sharding, leaf, leaf.shape), tree
    )


def state_sharding(mesh: Mesh, tree: Any) -> Any:
    """Return the sharding of each array of a state of training.

    Args:
        mesh: The devices.
        tree: The state, or its shapes.

    Returns:
        A pytree of shardings. Along an axis `fsdp` of the mesh, an array of two axes or more is
        split by the longest of those that its devices divide; all else is whole on every device.
    """
    if FSDP not in mesh.shape:
        return jax.tree.map(lambda _: replicated(mesh), tree)

    def sharding(leaf: Any) -> NamedSharding:
        shared = [axis for axis, size in enumerate(leaf.shape) if size % mesh.shape[FSDP] == 0]
        if leaf.ndim < 2 or not shared:
            return replicated(mesh)
        longest = max(shared, key=lambda axis: leaf.shape[axis])
        return NamedSharding(mesh, PartitionSpec(*[None] * longest, FSDP))

    return jax.tree.map(sharding, tree)


def own_copy(mesh: Mesh, tree: Any) -> Any:
    """Return arrays with which this process can compute by itself.

    All processes of the mesh must call it together.

    Args:
        mesh: The devices.
        tree: Arrays on the mesh.

    Returns:
        The same arrays if the mesh is of one process; otherwise whole copies on its first device.
    """
    if not mesh.is_multi_process:
        return tree
    if FSDP in mesh.shape:
        tree = bounded(mesh, jax.jit(lambda x: x, out_shardings=replicated(mesh))(tree))
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def bounded(mesh: Mesh, results: T) -> T:
    """Wait for results where only a few programs may be in flight.

    Between CPUs of several processes collective operations go through Gloo, which hangs if many
    programs with such operations are in flight.

    Args:
        mesh: The devices.
        results: Arrays, which may still be being computed.

    Returns:
        The same arrays.
    """
    if mesh.is_multi_process and mesh.devices.flat[0].platform == "cpu":
        return jax.block_until_ready(results)
    return results


def split_batch(mesh: Mesh, batch: Any) -> Any:
    """Constrain a batch, inside jit, to be split over the devices.

    Args:
        mesh: The devices.
        batch: Arrays that share their leading axis.

    Returns:
        The batch.
    """
    return jax.lax.with_sharding_constraint(batch, batch_sharding(mesh))


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
