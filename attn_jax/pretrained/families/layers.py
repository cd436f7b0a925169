"""Layers that run one after the other: unrolled, or as one scan over their stacked parameters.

A scanned model compiles in the time of one layer. Its parameters are those of the unrolled one,
`layers_0`, `layers_1`, …, stacked along a first axis under the name `layers`; the names of its hook
points are the same.
"""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array
from jaxtyping import Bool, Float

from attn_jax.pretrained.errors import PretrainedError


def run_layers(
    model: nn.Module,
    layers: Sequence[nn.Module],
    x: Float[Array, "*b t f"],
    key_mask: Bool[Array, "*b t"] | None = None,
    *,
    scan: bool = False,
) -> Float[Array, "*b t f"]:
    """Apply layers inside a compact method of a model.

    Args:
        model: The model, to which the layers will belong.
        layers: The layers, as modules of nobody's.
        x: What enters the first.
        key_mask: True = the token exists.
        scan: Whether they run as one scan.

    Raises:
        PretrainedError: If they are to be scanned and differ in more than their parameters.
    """
    if not scan:
        for i, layer in enumerate(layers):
            x = _named(layer, model, f"layers_{i}")(x, key_mask)
        return x
    _check_alike(layers)

    def step(layer: Any, x: Array, _: None) -> tuple[Array, None]:
        with nn.override_named_call(True):
            return layer(x, key_mask), None

    scanned = nn.scan(
        step,
        variable_axes={"params": 0, "cache": 0, "intermediates": 0},
        split_rngs={"params": True},
        length=len(layers),
    )
    # Hook points have the names of scopes, and the scope of this step would repeat the layer's.
    with nn.override_named_call(False):
        return scanned(_named(layers[0], model, "layers"), x, None)[0]


def layers_cache(caches: Sequence[Any], *, scan: bool) -> dict[str, Any]:
    """Return the cache of layers, of which each has its own, as `run_layers` takes it."""
    if scan:
        return {"layers": jax.tree.map(lambda *arrays: jnp.stack(arrays), *caches)}
    return {f"layers_{i}": cache for i, cache in enumerate(caches)}


def scanned_form(module: Any) -> Any:
    """Return the module with its layers scanned.

    Raises:
        PretrainedError: If it has no such form.
    """
    if not hasattr(module, "scan"):
        raise PretrainedError(
            f"{type(module).__name__} cannot be scanned; load it without scan=True."
        )
    return module.clone(scan=True)


def unstack_shapes(shapes: dict[str, Any]) -> dict[str, Any]:
    """Return the shapes of the parameters of an unrolled model, given those of its scanned form."""
    count = jax.tree.leaves(shapes["layers"])[0].shape[0]
    layer = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), shapes["layers"]
    )
    others = {name: leaf for name, leaf in shapes.items() if name != "layers"}
    return others | {f"layers_{i}": layer for i in range(count)}


def stack_parameters(params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of the scanned form of an unrolled model, whose own it empties."""
    names = [name for name in params if re.fullmatch(r"layers_\d+", name)]
    ordered = sorted(names, key=lambda name: int(name.rpartition("_")[2]))
    layers: list[dict[Any, Any]] = [flatten_dict(params.pop(name)) for name in ordered]
    # A parameter at a time, so that there are never two copies of most of the weights.
    stacked = {path: jnp.stack([layer.pop(path) for layer in layers]) for path in list(layers[0])}
    return params | {"layers": unflatten_dict(stacked)}


def _named(layer: nn.Module, model: nn.Module, name: str) -> Any:
    return layer.clone(parent=model, name=name)


def _check_alike(layers: Sequence[Any]) -> None:
    first = layers[0]
    names = [f.name for f in dataclasses.fields(first) if f.name not in ("parent", "name")]
    differing = [
        name
        for name in names
        if any(getattr(layer, name) != getattr(first, name) for layer in layers)
    ]
    if differing:
        raise PretrainedError(
            f"the layers differ in {', '.join(differing)}, so they cannot be scanned; load it "
            "without scan=True."
        )
