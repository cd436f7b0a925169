"""The weights of each head as matrices, for the study of circuits."""

import fnmatch
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attn_jax.pretrained.errors import PretrainedError

_PROJECTIONS = ("query", "key", "value", "out")


class HeadMatrices(NamedTuple):
    """The projections of each head of `l` layers, without biases; rows are multiplied by them.

    Heads that share keys and values have the same matrices for them.

    Attributes:
        query: From the residual stream to queries.
        key: To keys.
        value: To values.
        out: From contexts to the residual stream.
    """

    query: Float[Array, "l h f d"]
    key: Float[Array, "l h f d"]
    value: Float[Array, "l h f d"]
    out: Float[Array, "l h d f"]


def head_matrices(
    params: Mapping[str, Any], pattern: str = "*", *, fold: str | None = None
) -> HeadMatrices:
    """Return the projections of the attentions whose names match.

    Args:
        params: The parameters of a model.
        pattern: A glob of names such as `layers.3.attention`.
        fold: The normalization beside each attention whose `scale` is multiplied into query, key
            and value; none if None. For one that centers features, the part of the matrices that
            reads their mean is removed too.

    Raises:
        PretrainedError: If no attention matches, or they differ in shape.
    """
    layers = [
        _matrices(parent, name, fold)
        for path, parent, name in _attentions(params)
        if fnmatch.fnmatch(path, pattern)
    ]
    if not layers:
        names = ", ".join(path for path, _, _ in _attentions(params))
        raise PretrainedError(f"no attention matches {pattern!r}; there are {names or 'none'}.")
    shapes = {tuple(each.shape for each in layer) for layer in layers}
    if len(shapes) > 1:
        raise PretrainedError(
            f"the attentions that match {pattern!r} have projections of different shapes, "
            f"{' and '.join(map(str, sorted(shapes)))}; choose some with a narrower pattern."
        )
    return HeadMatrices(*map(jnp.stack, zip(*layers, strict=True)))


def _attentions(
    params: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Yield the path of each attention, what stands beside it, and its name there."""
    for name in sorted(params, key=_by_number):
        child = params[name]
        if not isinstance(child, Mapping):
            continue
        stem, _, number = name.rpartition("_")
        below = f"{path}.{stem}.{number}" if number.isdecimal() else f"{path}.{name}"
        if not all(isinstance(child.get(part), Mapping) for part in _PROJECTIONS):
            yield from _attentions(child, below)
        elif child["query"]["kernel"].ndim == 3:
            yield below.lstrip("."), params, name
        else:  # a stack of scanned layers
            for i in range(len(child["query"]["kernel"])):
                layer = jax.tree.map(lambda x, i=i: x[i], params)
                yield f"{path}.{i}.{name}".lstrip("."), layer, name


def _by_number(name: str) -> tuple[str, int]:
    stem, _, number = name.rpartition("_")
    return (stem, int(number)) if number.isdecimal() else (name, 0)


def _matrices(parent: Mapping[str, Any], name: str, fold: str | None) -> tuple[Array, ...]:
    attention = parent[name]
    query, key, value = (attention[part]["kernel"] for part in _PROJECTIONS[:3])
    if fold is not None:
        query, key, value = (_folded(parent, fold, each) for each in (query, key, value))
    heads = query.shape[1]
    key, value = (jnp.repeat(each, heads // each.shape[1], 1) for each in (key, value))
    moved = (jnp.moveaxis(each, 1, 0) for each in (query, key, value))
    return (*moved, attention["out"]["kernel"])


def _folded(parent: Mapping[str, Any], fold: str, kernel: Array) -> Array:
    if fold not in parent:
        raise PretrainedError(
            f"there is no normalization {fold!r} beside an attention; there are "
            f"{', '.join(sorted(parent))}."
        )
    kernel = parent[fold]["scale"][:, None, None] * kernel
    # Layer normalization, the one with a bias, leaves features whose mean is zero.
    return kernel - kernel.mean(0, keepdims=True) if "bias" in parent[fold] else kernel
