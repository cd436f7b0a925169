"""Values of a model written to a folder, batch by batch."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_leaves_with_path
from jaxtyping import Array

from attn_jax.circuits.recorded import (
    Index,
    Recording,
    is_whole,
    load,
    read_index,
    write_index,
)
from attn_jax.circuits.shards import import_safetensors, write_shards
from attn_jax.circuits.sites import Model
from attn_jax.hooks import HookError, HookPoint, capture, hook_points
from attn_jax.hooks.freed import prepare_freed
from attn_jax.hooks.plan import Spec, make_plan, parse_spec

Layout = dict[str, Any]
"""Of each value, the shape before and after its batch axis, and the dtype."""


def record(
    fn: Model,
    spec: Spec,
    batches: Iterable[Any],
    folder: Path | str,
    *,
    shard_bytes: int = 250_000_000,
) -> Recording:
    """Capture values of a model for many batches, and write them to a folder.

    Never more than two batches of values are in memory. An interrupted recording goes on after its
    last whole batch when it is called again with the same arguments; a finished one goes on if more
    batches follow.

    Args:
        fn: The model.
        spec: The hook points, as for :func:`attn_jax.hooks.capture`, with reducers or without. A
            reducer keeps the batch axis of its value, the first one, or returns a scalar.
        batches: The inputs, batch by batch, which may differ only in the number of examples. To go
            on, all batches are passed again, from the first.
        folder: The folder, which is made if it does not exist.
        shard_bytes: The most bytes of values that a file holds.

    Returns:
        The recording, which :func:`load` opens again.

    Raises:
        HookError: If the model has no such hook points, or a reducer drops the batch axis.
        ImportError: If the package safetensors is missing.
        ValueError: If the batches differ in more than the number of examples, the folder holds
            other batches or values, or `shard_bytes` is too small.

    Example:
        >>> import tempfile
        >>> from attn_jax.hooks import tap
        >>> def fn(x):
        ...     return tap("layers.0.mlp", 2 * x)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     recording = record(fn, "*.mlp", [jnp.ones((4, 3)), jnp.zeros((1, 3))], folder)
        ...     recording["layers.0.mlp"].shape
        (5, 3)
    """
    import_safetensors()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    index, program, count = read_index(folder), _Program(fn, spec), 0
    for number, inputs in enumerate(batches):
        count = number + 1
        layout = program.layout(inputs)
        _check_layout(index, layout, folder, number)
        digest = _digest(inputs)
        old = index["batches"][number] if number < len(index["batches"]) else None
        if old and old["inputs"] != digest:
            raise _other(folder, f"batch {number} had other inputs")
        if old is None or not is_whole(folder, old):
            entry = _write_batch(folder, number, program(inputs), layout, shard_bytes)
            index["batches"][number:count] = [{"inputs": digest, **entry}]
            write_index(folder, index | {"is_complete": False})
    if not 0 < count >= len(index["batches"]):
        raise _other(folder, f"there are {len(index['batches'])} batches, not {count}")
    write_index(folder, index | {"is_complete": True})
    return load(folder)


def _write_batch(
    folder: Path, number: int, values: dict[str, Array], layout: Layout, shard_bytes: int
) -> dict[str, Any]:
    sizes = {name: values[name].shape[len(layout[name]["shape"][0])] for name in values}
    return {"sizes": sizes, "values": write_shards(folder, number, values, shard_bytes)}


class _Program:
    """The values of a model as a function of its inputs, traced once for each of their shapes."""

    def __init__(self, fn: Model, spec: Spec) -> None:
        self._fn, self._spec = fn, spec
        self._layouts: dict[Any, Layout] = {}
        self._compiled: dict[Any, Callable[[Any], dict[str, Array]]] = {}

    def __call__(self, inputs: Any) -> dict[str, Array]:
        key = _shapes_of(inputs)
        if key not in self._compiled:
            self._compiled[key] = prepare_freed(lambda x: self._values(x)[0], inputs)
        return self._compiled[key](inputs)

    def layout(self, inputs: Any) -> Layout:
        """Return what values there are, without computing them."""
        key = _shapes_of(inputs)
        if key not in self._layouts:
            layout: Layout = {}
            jax.eval_shape(lambda x: layout.update(self._values(x)[1]), inputs)
            self._layouts[key] = layout
        return self._layouts[key]

    def _values(self, inputs: Any) -> tuple[dict[str, Array], Layout]:
        points = _captured_points(self._fn, self._spec, inputs)
        values, layout = {}, {}
        for key, tree in capture(self._fn, self._spec)(inputs)[1].items():
            point = points[key.removesuffix("?")]
            axis = key.count("*") + sum(loop.kind == "shard_map" for loop in point.loops)
            for path, leaf in tree_leaves_with_path(tree):
                name, value = key + keystr(path), _with_batch_axis(leaf, axis, point)
                values[name] = value
                shape = [list(value.shape[:axis]), list(value.shape[axis + 1 :])]
                layout[name] = {"shape": shape, "dtype": value.dtype.name}
        return values, layout


def _captured_points(fn: Model, spec: Spec, inputs: Any) -> dict[str, HookPoint]:
    """Return the hook point of each captured value."""
    points = {point.name: point for point in hook_points(fn)(inputs)}
    plan = make_plan(points.values(), parse_spec(spec), {})
    return {each.key: points[name] for name, every in plan.requests.items() for each in every}


def _with_batch_axis(value: Array, axis: int, point: HookPoint) -> Array:
    """Return a value that has a batch axis: a scalar gets one of size one.

    Raises:
        HookError: If a reducer dropped that of the hook point.
    """
    if value.ndim == axis:
        return jnp.expand_dims(value, axis)
    is_array = all(isinstance(size, int) for size in point.shape)
    if is_array and point.shape[:1] != value.shape[axis : axis + 1]:
        raise HookError(
            f"{point.name!r} has the shape {list(point.shape)} and is reduced to "
            f"{list(value.shape[axis:])}: a reducer keeps the first axis, that of the batch, or "
            "returns a scalar."
        )
    return value


def _check_layout(index: Index, layout: Layout, folder: Path, number: int) -> None:
    """Refuse values that do not fit those recorded before."""
    values = index["values"] = index["values"] or layout
    for name in dict.fromkeys([*values, *layout]):
        old, new = values.get(name), layout.get(name)
        if old != new:
            raise _other(
                folder, f"{name!r} of batch {number} is {_text(new)}, and was {_text(old)}"
            )


def _text(about: dict[str, Any] | None) -> str:
    if about is None:
        return "absent"
    before, after = about["shape"]
    return f"{about['dtype']}[{', '.join(map(str, [*before, 'batch', *after]))}]"


def _other(folder: Path, reason: str) -> ValueError:
    return ValueError(
        f"the batches do not go on with the recording in {folder}: {reason}. Pass the same model, "
        "hook points and batches again, with batches of one shape, or choose another folder."
    )


def _shapes_of(inputs: Any) -> Any:
    leaves, tree = jax.tree.flatten(inputs)
    return tree, tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)


def _digest(inputs: Any) -> str:
    """Return a hash of all numbers in the inputs."""
    digest = hashlib.sha256(str(_shapes_of(inputs)).encode())
    for leaf in jax.tree.leaves(inputs):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()
