"""Ablation: what a model loses without one of its heads."""

from collections.abc import Sequence
from typing import Any, Literal

from jaxtyping import Array

from attn_jax.circuits.checks import check_same_shapes, scored
from attn_jax.circuits.heads import replace_each_head
from attn_jax.circuits.scores import Scores
from attn_jax.circuits.sites import (
    Metric,
    Model,
    Pattern,
    Place,
    attention_places,
    find_places,
    names_of,
)
from attn_jax.hooks import HookError, capture
from attn_jax.hooks.freed import run_freed


def ablate_heads(
    fn: Model,
    inputs: Any,
    metric: Metric,
    *,
    by: Literal["zero", "mean", "resample"] = "zero",
    other: Any = None,
    attention: Pattern | None = None,
    batch_size: int | None = None,
) -> Scores:
    """Return how much a metric changes when one head is taken away, for every head of every layer.

    All runs are one compiled program, in which the layers before the ablated one are computed once.

    Args:
        fn: The model.
        inputs: Its inputs.
        metric: A function from its output to a scalar, such as :func:`logit_difference`.
        by: What the context of the head becomes: `zero`; `mean`, its mean over the batch; or
            `resample`, what it is for the inputs `other`.
        other: Inputs of the same shapes, for `resample`.
        attention: The hook points to edit. By default the `context` of every attention, and its
            `weights` where no context is known; these can only be set to zero, and the names of
            the result say where that was done.
        batch_size: How many runs are made at once; if None, as many as half a gigabyte holds.

    Returns:
        The metric without the head minus the metric of the whole model, with the axes `layer` and
        `head`; NaN where a layer has fewer heads than others.

    Raises:
        HookError: If the model has no such hook points.
        ValueError: If the metric is no scalar, or a head cannot be ablated in this way.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from attn_jax import hooks
        >>> def fn(x):  # uses only the first of two heads
        ...     context = hooks.tap("a.context", jnp.stack([x, x], 2))
        ...     return context[:, :, 0]
        >>> ablate_heads(fn, jnp.ones((1, 4, 3)), jnp.sum).values
        Array([[-12.,   0.]], dtype=float32)

    References:
        Michel, Levy and Neubig, "Are Sixteen Heads Really Better than One?", 2019,
        https://arxiv.org/abs/1905.10650; Wang et al., "Interpretability in the Wild", 2022, section
        2.1, https://arxiv.org/abs/2211.00593.
    """
    if by not in ("zero", "mean", "resample"):
        raise ValueError(f"by={by!r} is none of 'zero', 'mean' and 'resample'.")
    if (by == "resample") == (other is None):
        raise ValueError(
            f"by={by!r} does not go with other={'None' if other is None else 'inputs'}: 'resample' "
            "takes the inputs that heads are resampled from, and the others take none."
        )
    if attention is None:
        places = attention_places(fn, inputs, use="ablate_heads")
    else:
        places = find_places(fn, inputs, attention, use="ablate_heads")
    if by != "zero":
        _check_contexts(places, by)
    if other is not None:
        check_same_shapes(inputs, other)

    def effects(inputs: Any, other: Any) -> Array:
        score = scored(metric, inputs)
        new = 0.0 if by == "zero" else _replacements(fn, places, by, inputs, other)
        whole = score(fn)
        return replace_each_head(score, fn, places, new, batch_size) - whole

    return Scores(run_freed(effects, inputs, other), ("layer", "head"), names_of(places))


def _replacements(
    fn: Model, places: Sequence[Place], by: str, inputs: Any, other: Any
) -> dict[str, Array]:
    names = [place.point.name for place in places]
    _, values = capture(fn, names)(inputs if by == "mean" else other)
    if by == "resample":
        return values
    # The axis of the batch follows those of the scans.
    return {
        place.point.name: values[place.point.name].mean(len(place.point.lengths), keepdims=True)
        for place in places
    }


def _check_contexts(places: Sequence[Place], by: str) -> None:
    for place in places:
        if not place.point.name.endswith("context"):
            raise HookError(
                f"by={by!r} replaces a head's context, and {place.point.name!r} is not one: use "
                "by='zero', or give the attention a hook point 'context'."
            )
