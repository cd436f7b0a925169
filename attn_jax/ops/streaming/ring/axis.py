"""The mesh axis `sequence`: whether a call goes around it, and the loop that does."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from jax import Array, lax
from jax.sharding import AbstractMesh

from attn_jax.ops.devices import varying_axes

AXIS = "sequence"
"""The mesh axis that long sequences are divided over."""

# Axes that a mesh divides batches over.
_BATCH_AXES = ("data", "fsdp")

Step = Callable[[Array, Any, Any, Any], tuple[Any, Any]]


@dataclasses.dataclass(frozen=True)
class Ring:
    """The devices that a sequence is divided over.

    Attributes:
        size: How many there are.
        is_manual: Whether the caller divided the sequence, inside of a `shard_map`.
        batch_axes: The mesh axes that the first batch axis is divided over on entering the ring.
        is_local: Whether all that a device computes on lies there, so that it may call kernels.
    """

    size: int
    is_manual: bool
    batch_axes: tuple[str, ...] = ()
    is_local: bool = True

    @property
    def manual_axes(self) -> set[str]:
        """The mesh axes that become manual on entering the ring."""
        return {AXIS, *self.batch_axes}

    def rotate(self, tree: Any) -> Any:
        """Send arrays to the next device, and receive those of the device before."""
        pairs = [(i, (i + 1) % self.size) for i in range(self.size)]
        return jax.tree.map(lambda x: lax.ppermute(x, AXIS, pairs), tree)

    def sum(self, array: Array) -> Array:
        """Return the sum over the devices, the same on all."""
        return lax.psum(array, AXIS)

    def around(self, step: Step, shard: Any, carry: Any, traveling: Any) -> tuple[Any, Any]:
        """Send each device's shard to every other, and let each device work on all of them.

        Args:
            step: Called as `step(source, shard, carry, traveling)`, where `source` is the device
                that the shard is from; returns the new carry and what travels along.
            shard: What each device sends around.
            carry: What stays on a device.
            traveling: Sums that travel with the shard, and are home again at the end.

        Returns:
            The last carry, and the sums over all devices of what traveled.
        """
        device = lax.axis_index(AXIS)

        def hop(number: Array, state: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
            shard, carry, traveling = state
            # The next shard is on its way while this one is worked on.
            following = self.rotate(shard)
            source = lax.rem(device - number + self.size, self.size)
            carry, traveling = step(source, shard, carry, traveling)
            return following, carry, self.rotate(traveling)

        state = (shard, carry, traveling)
        shard, carry, traveling = lax.fori_loop(0, self.size - 1, hop, state)
        # The last shard, that of the next device, has nowhere left to go.
        carry, traveling = step(lax.rem(device + 1, self.size), shard, carry, traveling)
        return carry, self.rotate(traveling)


def ring_of(query: Array, key: Array, value: Array, *, implementation: str = "auto") -> Ring | None:
    """Return the ring that a call goes around; None if one device has all of it.

    Args:
        query: `(*b, q, h, d)`.
        key: `(*b, k, h_k, d)`.
        value: `(*b, k, h_k, e)`.
        implementation: `"ring"` insists on one; `"xla"` and `"cudnn"` know none.

    Raises:
        ValueError: If a ring is asked for by name and there is none, or if only some of the
            arrays are divided over it.
    """
    mesh = jax.sharding.get_abstract_mesh()
    size = dict(mesh.shape).get(AXIS, 1)
    if implementation in ("xla", "cudnn") or min(x.ndim for x in (query, key, value)) < 3:
        return None
    if size == 1:
        if implementation == "ring":
            raise ValueError(_NO_RING.format(mesh=dict(mesh.shape) or "none"))
        return None
    if AXIS in mesh.manual_axes:
        return _manual_ring(mesh, size, query, key, value)
    lengths = query.shape[-3], key.shape[-3]
    if any(n % size or not n for n in lengths) or query.dtype.itemsize > 4:
        if implementation == "ring":
            _refuse(size, query, key)
        return None
    axes = _batch_axes(mesh, query)
    others = [name for name in mesh.axis_names if name not in (AXIS, *axes, *mesh.manual_axes)]
    return Ring(size, False, axes, all(mesh.shape[name] == 1 for name in others))


_NO_RING = (
    "implementation='ring' needs a mesh with an axis 'sequence' of two devices or more, and the "
    "mesh in force is {mesh}. Set one around the call: "
    "jax.set_mesh(jax.make_mesh((8,), ('sequence',)))."
)


def _refuse(size: int, query: Array, key: Array) -> None:
    for name, array in (("query", query), ("key", key)):
        tokens = array.shape[-3]
        if tokens % size or not tokens:
            nearest = [n for n in (tokens // size * size, -(-tokens // size) * size) if n]
            raise ValueError(
                f"the {size} devices of the mesh axis 'sequence' do not divide the {tokens} tokens "
                f"of {name}; the nearest multiples: {' and '.join(map(str, nearest)) or size}. Pad "
                "it, and hide padded keys by key_mask."
            )
    raise ValueError(
        f"a ring computes in float32 and query is {query.dtype}; "
        "attention(implementation='xla') keeps 64 bits."
    )


def _manual_ring(
    mesh: AbstractMesh, size: int, query: Array, key: Array, value: Array
) -> Ring | None:
    given = {"query": query, "key": key, "value": value}
    axes = {name: varying_axes(x) for name, x in given.items()}
    divided = [name for name, varying in axes.items() if AXIS in varying]
    # Without `check_vma` nothing is known to vary; then the manual axis alone decides.
    is_known = any(axes.values()) or AXIS in varying_axes(lax.axis_index(AXIS))
    if is_known and not divided:
        return None
    if is_known and len(divided) < 3:
        whole = next(name for name in given if name not in divided)
        raise ValueError(
            f"{divided[0]} is divided over the mesh axis 'sequence' and {whole} is the same on all "
            "its devices; divide both, with PartitionSpec(..., 'sequence', None, None) in in_specs."
        )
    others = [name for name in mesh.axis_names if name not in mesh.manual_axes]
    return Ring(size, True, (), all(mesh.shape[name] == 1 for name in others))


def _batch_axes(mesh: AbstractMesh, query: Array) -> tuple[str, ...]:
    """Return the axes that divide the batch, as far as they divide its size."""
    rest, axes = query.shape[0] if query.ndim > 3 else 1, []
    for name in _BATCH_AXES:
        size = dict(mesh.shape).get(name, 1)
        if size > 1 and name not in mesh.manual_axes and rest % size == 0:
            axes.append(name)
            rest //= size
    return tuple(axes)
