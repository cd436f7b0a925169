"""From a checkpoint's tensors to parameters, by a table of names."""

import re
from collections.abc import Container, Iterable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.reading.tensors import Tensors

Kind = Literal["same", "plus_one", "kernel", "out_kernel", "conv", "out_conv", "window"]
"""What becomes of a tensor: `same` keeps its order and takes our shape, and `plus_one`, for a scale
that is stored as its distance from one, also adds one; `kernel` and `out_kernel`
are PyTorch's `[out, in]` transposed, with the heads on the output or on the input side; `conv` and
`out_conv` are the same of GPT-2's `[in, out]`, not transposed; `window` is a convolution's
`[out, in, *window]`, which becomes `[*window, in, out]`."""

Table = Mapping[str, tuple[str, Kind]]
"""For each tensor of the checkpoint, with `*` for the number of a layer, the path of our parameter
and what becomes of it."""


def convert(
    tensors: Tensors,
    shapes: Any,
    table: Table,
    ignored: Iterable[str] = (),
    optional: Container[str] = (),
) -> dict[str, Any]:
    """Return parameters with the values of a checkpoint.

    Args:
        tensors: The tensors of the checkpoint.
        shapes: The parameters as abstract arrays, whose shapes and types are kept.
        table: From the checkpoint's names to ours.
        ignored: Patterns of tensors that have no place in the model, such as buffers.
        optional: The paths of parameters that are zero if there is no tensor for them.

    Raises:
        PretrainedError: If tensors are missing, left over, or of another shape.
    """
    wanted = {_path(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(shapes)}
    by_path: dict[str, tuple[str, Kind]] = {}
    extra = []
    for name in tensors:
        if any(re.fullmatch(pattern, name) for pattern in ignored):
            continue
        ours, kind = _look_up(name, table)
        if ours in wanted:
            by_path[ours] = name, kind
        else:
            extra.append(name)
    missing = [path for path in wanted if path not in by_path]
    _check_names([path for path in missing if path not in optional], extra)
    # The largest come first, so that at no time there are two copies of most of the weights.
    largest_first = sorted(by_path, key=lambda path: -wanted[path].size)
    arrays = {
        path: _converted(tensors, *by_path[path], wanted[path], path).block_until_ready()
        for path in largest_first
    }
    arrays |= {path: jnp.zeros(wanted[path].shape, wanted[path].dtype) for path in missing}
    return jax.tree_util.tree_map_with_path(lambda path, _: arrays[_path(path)], shapes)


def _path(path: Any) -> str:
    return "/".join(entry.key for entry in path)


def _look_up(name: str, table: Table) -> tuple[str, Kind]:
    number = re.search(r"\.(\d+)\.", name)
    pattern = name.replace(number[0], ".*.", 1) if number else name
    ours, kind = table.get(pattern, ("", "same"))
    return ours.replace("*", number[1]) if number else ours, kind


def _check_names(missing: Iterable[str], extra: Iterable[str]) -> None:
    missing, extra = sorted(missing), sorted(extra)
    if missing or extra:
        raise PretrainedError(
            "the checkpoint does not fit the model of its config.json: "
            + "; ".join(
                f"{what} {', '.join(names[:5])}{', …' * (len(names) > 5)}"
                for what, names in (("no tensor for", missing), ("no place for", extra))
                if names
            )
            + "."
        )


def _converted(
    tensors: Tensors, name: str, kind: Kind, leaf: jax.ShapeDtypeStruct, path: str
) -> jax.Array:
    shape, expected = tensors.shape(name), _source_shape(leaf.shape, kind)
    if shape != expected and not (kind == "same" and _fills(shape, expected)):
        raise PretrainedError(
            f"tensor {name!r} has the shape {list(shape)}, and config.json asks for "
            f"{list(expected)} ({path}); they belong to different models."
        )
    tensor = tensors[name]
    if not jnp.issubdtype(tensor.dtype, jnp.floating):
        raise PretrainedError(
            f"tensor {name!r} is of type {tensor.dtype}; quantized checkpoints are not read, only "
            "float32, bfloat16 and float16."
        )
    if kind == "window":
        tensor = np.moveaxis(tensor, (1, 0), (-2, -1))
    tensor = tensor.T if kind in ("kernel", "out_kernel") else tensor
    array = jnp.asarray(tensor.reshape(leaf.shape), leaf.dtype)
    return array + 1 if kind == "plus_one" else array


def _fills(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Return whether a shape lacks only axes of length one, or is flat as the bias of heads."""
    shape, expected = (tuple(n for n in each if n > 1) for each in (shape, expected))
    return shape in (expected, (int(np.prod(expected)),))


def _source_shape(shape: tuple[int, ...], kind: Kind) -> tuple[int, ...]:
    if kind in ("same", "plus_one"):
        return shape
    if kind == "window":
        return shape[-1], shape[-2], *shape[:-2]
    if kind in ("kernel", "conv"):
        in_out = shape[0], int(np.prod(shape[1:]))
    else:
        in_out = int(np.prod(shape[:-1])), shape[-1]
    return in_out if kind in ("conv", "out_conv") else in_out[::-1]
