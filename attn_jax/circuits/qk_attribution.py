"""Which features make a query attend to a key."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attn_jax.circuits.frozen import (
    DENOMINATORS,
    find_groups,
    fix,
    point_names,
    read,
)
from attn_jax.circuits.scores import Scores
from attn_jax.circuits.sites import Model, Pattern, Place
from attn_jax.hooks import HookError, capture, intervene
from attn_jax.hooks.freed import run_freed

PARTS = {"embedding": "*.embedding", "head_output": "*.head_output", "mlp": "*.mlp"}
"""The hook points of what is added to a residual stream."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class QKAttribution:
    """The score of a query and a key as a sum over pairs of features.

    Attributes:
        shares: The share of each pair, with the axes `head`, `query_feature`, `key_feature`. Their
            last feature, `rest`, is what the others leave of the residual stream, and the biases.
        scores: The scores themselves, `(heads,)`.
        remainder: The scores less all shares: a bias of positions, for example.
        features: The names of the features.
    """

    shares: Scores
    scores: Float[Array, " h"]
    remainder: Float[Array, " h"]
    features: tuple[str, ...] = dataclasses.field(metadata={"static": True})


def qk_attribution(
    fn: Model,
    inputs: Any,
    attention: str,
    *,
    query: int,
    key: int,
    features: Float[Array, "n *b t f"] | None = None,
    residual: str | None = None,
    denominators: Pattern = DENOMINATORS,
    scale: float | None = None,
) -> QKAttribution:
    r"""Return which pairs of features make the score of a query and a key, for each head.

    A score is bilinear in the residual streams of query and key, once the denominator of the
    normalization is held fixed: with the features :math:`f_i` of the one and :math:`g_j` of the
    other the share of a pair is :math:`f_i^\top W_Q W_K^\top g_j / \sqrt{d}`. Shares are means over
    the batch.

    Args:
        fn: The model.
        inputs: Its inputs.
        attention: The module, such as `layers.3.attention`.
        query: The position of the query; negative ones count from the end.
        key: The position of the key, at which the query may look.
        features: Vectors at the residual stream that the attention reads, such as those of a
            dictionary, each times its activation. By default what was added to it: the embedding,
            the `head_output` of each head of earlier layers, and each `mlp`.
        residual: The hook point of that residual stream; if None `residual`, beside the attention.
        denominators: The hook points of what normalizations divide by, if any.
        scale: The factor of the scores; one over the root of the head's features if None.

    Returns:
        The shares, which add up to the score but for the remainder.

    Raises:
        HookError: If the model has no such hook points.
        ValueError: If there is no such position, or the features do not fit.

    References:
        Kamath et al., "Tracing Attention Computation Through Feature Interactions", 2025.
        https://transformer-circuits.pub/2025/attention-qk
    """
    residual = residual or f"{attention.rpartition('.')[0]}.residual".lstrip(".")
    needed = [residual, *(f"{attention}.{leaf}" for leaf in ("query", "key", "scores"))]
    parts = {} if features is not None else PARTS
    groups = find_groups(
        fn,
        inputs,
        {**{name: name for name in needed}, "fixed": denominators, **parts},
        needed=needed,
        use="qk_attribution",
    )
    _check_positions(groups, needed[1:3], (query, key))
    written = _written_before(groups, attention) if features is None else {}
    fixed = point_names(groups["fixed"])

    def attribute(inputs: Any, features: Array | None) -> tuple[Array, Array]:
        _, values = read(fn, [*needed, *fixed, *written], inputs)
        stream = values[residual]
        vectors = _vectors(written, values) if features is None else features
        check_features(vectors, stream)

        def project(x: Array) -> tuple[Array, Array]:
            model = fix(fn, {name: values[name] for name in fixed})
            model = intervene(model, {residual: lambda _, site: x})
            _, heads = capture(model, needed[1:3])(inputs)
            return heads[needed[1]][..., query, :, :], heads[needed[2]][..., key, :, :]

        totals, linear = jax.linearize(project, stream)
        sides = [
            jnp.concatenate([each, (total - each.sum(0))[None]])
            for total, each in zip(totals, jax.vmap(linear)(vectors), strict=True)
        ]
        queries, keys = (jnp.moveaxis(side, -2, 1) for side in sides)
        keys = jnp.repeat(keys, queries.shape[1] // keys.shape[1], 1)
        factor = queries.shape[-1] ** -0.5 if scale is None else scale
        shares = factor * jnp.einsum("ih...d,jh...d->hij...", queries, keys)
        scores = jnp.moveaxis(values[needed[3]][..., query, key], -1, 0)
        return _mean(shares, 3), _mean(scores, 1)

    shares, scores = run_freed(attribute, inputs, features)
    table = Scores(shares, ("head", "query_feature", "key_feature"))
    names = [str(i) for i in range(len(shares[0]) - 1)]
    if features is None:
        names = [feature for name, place in written.items() for feature in _features(name, place)]
    return QKAttribution(table, scores, scores - shares.sum((1, 2)), (*names, "rest"))


def _written_before(groups: Mapping[str, list[Place]], attention: str) -> dict[str, Place]:
    """Return what is written into the residual stream before a layer, in its own stack.

    Raises:
        HookError: If that of the heads has no hook points.
    """
    stack, layer = _stack_and_layer(attention)
    if layer and not groups["head_output"]:
        raise HookError(
            "qk_attribution needs hook points like *.head_output, what each head writes into the "
            "residual stream, (*b, tokens, heads, features): name it with hooks.tap, or pass "
            "features=."
        )
    places = {name: place for part in PARTS for place in groups[part] for name in place.names}
    written = {}
    for name, place in places.items():
        own_stack, own_layer = _stack_and_layer(name)
        if own_layer is None:
            is_before = own_stack.rpartition(".")[0] == stack.rpartition(".")[0]
        else:
            is_before = own_stack == stack and own_layer < (layer or 0)
        written |= {name: place} if is_before else {}
    return written


def _stack_and_layer(name: str) -> tuple[str, int | None]:
    """Return `("decoder.layers", 3)` for `decoder.layers.3.mlp`, and no layer without a number."""
    parts = name.split(".")
    number = next((i for i, part in enumerate(parts) if part.isdecimal()), None)
    return ".".join(parts[:number]), None if number is None else int(parts[number])


def _features(name: str, place: Place) -> list[str]:
    """Return the names of the features in a value: one for each head, or one."""
    if not name.endswith("head_output"):
        return [name]
    return [f"{name}[{i}]" for i in range(place.point.shape[-2])]


def _vectors(written: Mapping[str, Place], values: Mapping[str, Array]) -> Array:
    """Return the values as features, `(n, *b, tokens, features)`."""
    split = [
        jnp.moveaxis(values[name], -2, 0) if name.endswith("head_output") else values[name][None]
        for name in written
    ]
    return jnp.concatenate(split)


def _mean(values: Array, own: int) -> Array:
    """Return the mean over the batch, whose axes come after some of its own."""
    return values.mean(tuple(range(own, values.ndim)))


def _check_positions(
    groups: Mapping[str, list[Place]], names: Sequence[str], positions: tuple[int, int]
) -> None:
    for name, position in zip(names, positions, strict=True):
        tokens = groups[name][0].size("query")
        if not -tokens <= position < tokens:
            leaf = name.rpartition(".")[2]
            raise ValueError(f"{leaf}={position} is out of range; there are {tokens} positions.")


def check_features(features: Array, stream: Array) -> None:
    """Refuse features that are not vectors of a residual stream.

    Raises:
        ValueError: If the shapes do not fit.
    """
    if features.shape[1:] != stream.shape:
        raise ValueError(
            f"the features have the shape {list(features.shape)}, and the residual stream "
            f"{list(stream.shape)}; features have one axis more, in front."
        )
