"""Through which heads a feature acts."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attn_jax.circuits.direct import direct_metric
from attn_jax.circuits.frozen import (
    DENOMINATORS,
    all_layers,
    find_groups,
    fix,
    point_names,
    read,
)
from attn_jax.circuits.qk_attribution import check_features
from attn_jax.circuits.scores import Scores
from attn_jax.circuits.sites import Metric, Model, Pattern, Place, as_patterns, names_of
from attn_jax.hooks import HookError, capture, intervene
from attn_jax.hooks.freed import run_freed


def head_loadings(
    fn: Model,
    inputs: Any,
    features: Float[Array, "n *b t f"],
    metric: Metric,
    *,
    source: str = "embedding",
    attention: Pattern = "*.context",
    mlps: Pattern = "*.mlp",
    embeddings: Pattern = "*.embedding",
    denominators: Pattern = DENOMINATORS,
) -> Scores:
    r"""Return through which heads a feature acts on a metric, when it passes through one of them.

    The feature stands in the residual stream; a head moves its value along the weights, and what it
    writes reaches the output through the residual stream: with the value :math:`v = f W_V` of the
    feature at the key, the loading is :math:`\sum_{qk} A_{qk} \, v_k \cdot \partial m / \partial
    c_q`, where :math:`c` is the context of the head. Weights and denominators are held fixed. The
    loadings of features that add up to the residual stream, the biases among them, add up to the
    shares of :func:`direct_logit_attribution`.

    Args:
        fn: The model.
        inputs: Its inputs.
        features: Vectors at the source.
        metric: A function of the output to a number, such as :func:`logit_difference`.
        source: The hook point of the residual stream in which the features stand. They act on the
            heads after it.
        attention: The hook points of the heads' contexts. Beside each, `value` and `weights` are
            needed.
        mlps: Those of the outputs of feed-forward networks, if any.
        embeddings: Those of embeddings, if any.
        denominators: Those of what normalizations divide by, if any.

    Returns:
        The loadings, with the axes `feature`, `layer` and `head`.

    Raises:
        HookError: If the model has no such hook points.
        ValueError: If the features do not fit, or the metric is no scalar.

    References:
        Kamath et al., "Tracing Attention Computation Through Feature Interactions", 2025.
        https://transformer-circuits.pub/2025/attention-qk
    """
    groups = find_groups(
        fn,
        inputs,
        {
            "contexts": attention,
            "others": [*as_patterns(mlps), *as_patterns(embeddings)],
            "fixed": denominators,
            "source": source,
            "beside": ("*.value", "*.weights"),
        },
        needed=["contexts", "source"],
        use="head_loadings",
    )
    contexts, fixed = groups["contexts"], point_names(groups["fixed"])
    moved, maps = (_beside(groups, leaf) for leaf in ("value", "weights"))
    parts = point_names(contexts, groups["others"])

    def load(inputs: Any, features: Array) -> Array:
        names = [*parts, *fixed, *point_names(moved, maps), source]
        _, values = read(fn, list(dict.fromkeys(names)), inputs)
        check_features(features, values[source])
        denominators = {name: values[name] for name in fixed}
        gradients = jax.grad(direct_metric(fn, inputs, metric, denominators))(
            {name: values[name] for name in parts}
        )
        weights = all_layers(maps, values).values()
        readers = all_layers(contexts, gradients).values()

        def heads(x: Array) -> dict[str, Array]:
            model = fix(fn, {name: values[name] for name in (*parts, *fixed) if name != source})
            model = intervene(model, {source: lambda _, site: x})
            return capture(model, point_names(moved))(inputs)[1]

        _, linear = jax.linearize(heads, values[source])

        def table(feature: Array) -> Array:
            vectors = all_layers(moved, linear(feature)).values()
            return jnp.stack(
                [_loading(*each) for each in zip(weights, vectors, readers, strict=True)]
            )

        return jax.vmap(table)(features)

    values = run_freed(load, inputs, features)
    return Scores(values, ("feature", "layer", "head"), names_of(contexts))


def _loading(weights: Array, value: Array, reader: Array) -> Array:
    value = jnp.repeat(value, weights.shape[-3] // value.shape[-2], -2)
    return jnp.einsum("...hqk,...khd,...qhd->h", weights, value, reader)


def _beside(groups: Mapping[str, list[Place]], leaf: str) -> list[Place]:
    """Return the hook points of another leaf of each attention.

    Raises:
        HookError: If there is none.
    """
    by_name = {place.point.name: place for place in groups["beside"]}
    places = []
    for context in groups["contexts"]:
        name = f"{context.point.name.rpartition('.')[0]}.{leaf}".lstrip(".")
        if name not in by_name:
            raise HookError(
                f"head_loadings needs the hook point {name!r} beside {context.point.name!r}; name "
                "the values of the heads, `(*b, tokens, heads, features)`, with hooks.tap."
            )
        places.append(Place(by_name[name].point, context.steps))
    return places
