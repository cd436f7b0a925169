"""What each head and each feed-forward network adds to a logit directly."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.core import Tracer

from attn_jax.circuits.checks import scored
from attn_jax.circuits.frozen import (
    DENOMINATORS,
    find_groups,
    fix,
    layers_of,
    point_names,
    read,
)
from attn_jax.circuits.scores import Scores
from attn_jax.circuits.sites import Metric, Model, Pattern, Place, join_layers, names_of
from attn_jax.hooks import HookError
from attn_jax.hooks.freed import run_freed

_TOLERANCE = 1e-3


class DirectAttribution(NamedTuple):
    """A metric of the logits as the sum of the shares of a model's parts.

    Attributes:
        heads: The share of each head; axes `layer`, `head`, and those that were kept.
        mlps: The share of each feed-forward network; axes `layer`, and those that were kept.
        embeddings: The share of each embedding; axes `layer`, and those that were kept.
        bias: The share of the biases: the metric when all parts are zero.
        metric: The metric itself.
        remainder: The metric less all shares, which is a rounding error.
    """

    heads: Scores
    mlps: Scores
    embeddings: Scores
    bias: Array
    metric: Array
    remainder: Array


def direct_logit_attribution(
    fn: Model,
    inputs: Any,
    metric: Metric,
    *,
    heads: Pattern = "*.context",
    mlps: Pattern = "*.mlp",
    embeddings: Pattern = "*.embedding",
    denominators: Pattern = DENOMINATORS,
    keep: Sequence[Literal["batch", "position"]] = (),
) -> DirectAttribution:
    """Return what each head and each feed-forward network adds to a logit directly.

    The residual stream is the sum of what the parts write into it, and the logits are linear in it
    once the denominators of the normalizations are held fixed. The share of a part is its output
    times the gradient of the metric along the path that passes through no other part. All shares
    and that of the biases add up to the metric. It takes one pass through the model, and three
    through the residual stream alone.

    Args:
        fn: The model.
        inputs: Its inputs.
        metric: A linear function of its output to a number, such as :func:`logit_difference`, or
            `lambda logits: logits[:, -1, token].mean()` for one logit.
        heads: The hook points of the heads' contexts, `(*b, tokens, h, d)`.
        mlps: Those of the outputs of feed-forward networks, `(*b, tokens, features)`, if any.
        embeddings: Those of embeddings, likewise.
        denominators: Those of what normalizations divide by, if any.
        keep: The axes that are not summed over; `batch` if the inputs have just one such axis.

    Returns:
        The share of each part.

    Raises:
        HookError: If the model has no contexts. Outside of `jit` also if the shares do not add up
            to the metric, because it is not linear or some part has no hook point.
        ValueError: If the metric is no scalar.

    Example:
        >>> from attn_jax.circuits import direct_logit_attribution
        >>> from attn_jax.hooks import tap
        >>> def fn(x):  # two heads with one feature each, beside a residual connection
        ...     x = tap("embedding", x)
        ...     heads = tap("layers.0.context", x[..., None] * jnp.array([[[[2.0], [-1.0]]]]))
        ...     return x + heads.sum(-2)
        >>> shares = direct_logit_attribution(fn, jnp.ones((1, 1, 1)), jnp.sum)
        >>> shares.heads.values, shares.embeddings.values
        (Array([[ 2., -1.]], dtype=float32), Array([1.], dtype=float32))

    References:
        Elhage et al., "A Mathematical Framework for Transformer Circuits", 2021.
        https://transformer-circuits.pub/2021/framework
    """
    groups = find_groups(
        fn,
        inputs,
        {"heads": heads, "mlps": mlps, "embeddings": embeddings, "denominators": denominators},
        needed=["heads"],
        use="direct_logit_attribution",
    )
    fixed = point_names(groups["denominators"])

    def attribute(inputs: Any) -> DirectAttribution:
        out, values = read(fn, point_names(*groups.values()), inputs)
        direct = direct_metric(fn, inputs, metric, {name: values.pop(name) for name in fixed})
        shares = direct_shares(direct, values)
        tables = (
            _table(shares, groups["heads"], ("head",), tuple(keep)),
            _table(shares, groups["mlps"], (), tuple(keep)),
            _table(shares, groups["embeddings"], (), tuple(keep)),
        )
        value = scored(metric, inputs)(lambda _: out)
        bias = direct(jax.tree.map(jnp.zeros_like, values))
        total = sum((jnp.nansum(table.values) for table in tables), bias)
        return DirectAttribution(*tables, bias, value, value - total)

    attribution = run_freed(attribute, inputs)
    if not isinstance(attribution.metric, Tracer):
        _check_sum(attribution)
    return attribution


def direct_metric(
    fn: Model, inputs: Any, metric: Metric, denominators: Mapping[str, Array]
) -> Callable[[Mapping[str, Array]], Array]:
    """Return the metric as a function of the parts of a model, by hook point.

    As every part is given, a change of one reaches the output through the residual stream alone.

    Args:
        fn: The model.
        inputs: Its inputs.
        metric: The metric.
        denominators: What normalizations divide by.
    """
    # Compiled, it is traced once for all its uses.
    return jax.jit(lambda parts: scored(metric, inputs)(fix(fn, {**denominators, **parts})))


def direct_shares(
    direct: Callable[[Mapping[str, Array]], Array], parts: Mapping[str, Array]
) -> dict[str, Array]:
    """Return the share of each part, by hook point: its value times the gradient.

    Args:
        direct: From :func:`direct_metric`.
        parts: The value of each part, `(..., features)`; the features are summed over.
    """
    gradients = jax.grad(direct)(parts)
    return {name: (value * gradients[name]).sum(-1) for name, value in parts.items()}


def _table(
    shares: Mapping[str, Array], places: Sequence[Place], own: tuple[str, ...], keep: tuple
) -> Scores:
    """Return the shares of some places, `(*b, tokens)` and their own axis, as a table."""
    axes = ("layer", *own, *keep)
    if not places:
        return Scores(jnp.zeros((0,) * len(axes)), axes)
    rows = [_sum(layers_of(place, shares), own, keep) for place in places]
    return Scores(join_layers(rows), axes, names_of(places))


def _sum(share: Array, own: tuple[str, ...], keep: tuple) -> Array:
    """Put the axis of heads behind that of layers, and sum over batch and positions."""
    share = jnp.moveaxis(share, -1, 1) if own else share
    batch = tuple(range(1 + len(own), share.ndim - 1))
    share = share if "position" in keep else share.sum(-1)
    return share if "batch" in keep else share.sum(batch)


def _check_sum(attribution: DirectAttribution) -> None:
    tables = (attribution.heads, attribution.mlps, attribution.embeddings)
    shares = [jnp.abs(table.values) for table in tables] + [jnp.abs(attribution.bias)]
    size = sum(float(jnp.nansum(each)) for each in shares)
    remainder = float(attribution.remainder)
    if not abs(remainder) <= _TOLERANCE * max(size, abs(float(attribution.metric))):
        raise HookError(
            f"the metric is {float(attribution.metric):.4g}, and the shares of the parts add up to "
            f"{float(attribution.metric) - remainder:.4g}: either the metric is not linear in the "
            "output, or a feed-forward network or the denominator of a normalization has no hook "
            "point. Name it with hooks.tap, and give its pattern in mlps= or denominators=."
        )
