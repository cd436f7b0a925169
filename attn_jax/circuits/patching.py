"""Activation patching: which values carry what tells two inputs apart."""

from collections.abc import Sequence
from typing import Any, Literal

from jaxtyping import Array

from attn_jax.circuits.checks import check_same_shapes, scored
from attn_jax.circuits.metrics import KeyMask
from attn_jax.circuits.parts import Parts, Role, replacing
from attn_jax.circuits.scores import Scores
from attn_jax.circuits.sites import Metric, Model, Pattern, find_places, join_layers, names_of
from attn_jax.hooks import capture
from attn_jax.hooks.freed import run_freed
from attn_jax.measure.numbered import map_edits

Direction = Literal["denoising", "noising"]


def activation_patching(
    fn: Model,
    clean: Any,
    corrupted: Any,
    metric: Metric,
    *,
    points: Pattern = "*.residual",
    over: Sequence[Role] = ("position",),
    direction: Direction = "denoising",
    positions: Sequence[int] | None = None,
    key_mask: KeyMask | None = None,
    normalized: bool = False,
    batch_size: int | None = None,
) -> Scores:
    """Return the metric when one value of a run is replaced by that of the other run, for each.

    All runs are one compiled program, in which the layers before the patched one are computed once.

    Args:
        fn: The model.
        clean: The inputs for which it does what is to be explained.
        corrupted: Inputs of the same shapes for which it does not.
        metric: A function from its output to a scalar, such as :func:`logit_difference`.
        points: The hook points to patch, one after the other.
        over: What is patched by itself at each: `("position",)`; `("head",)`, at hook points of
            heads like `*.context`; both; or nothing, `()`, for the whole value.
        direction: `denoising` puts values of the clean run into the corrupted one, which shows what
            suffices; `noising` the reverse, which shows what is necessary.
        positions: The positions, all from the first if None; negative ones count from the end of
            each text.
        key_mask: True where a token exists, `(n, t)`, for pairs of texts of unequal length. Both
            texts of a pair have as many tokens.
        normalized: Whether to return the share of the way from the metric of the corrupted run, 0,
            to that of the clean run, 1.
        batch_size: How many runs are made at once; if None, as many as half a gigabyte holds.

    Returns:
        The metrics, with the axis `layer`, then those of `over`.

    Raises:
        HookError: If the model has no such hook points, heads or positions.
        ValueError: If the inputs differ in shape, or the metric is no scalar.

    Example:
        >>> import jax.numpy as jnp
        >>> from attn_jax import hooks
        >>> def fn(x):  # uses only the last position
        ...     return hooks.tap("layers.0.residual", x)[:, -1]
        >>> clean, corrupted = jnp.ones((1, 3, 2)), jnp.zeros((1, 3, 2))
        >>> activation_patching(fn, clean, corrupted, jnp.sum).values
        Array([[0., 0., 2.]], dtype=float32)

    References:
        Vig et al., "Causal Mediation Analysis for Interpreting Neural NLP", 2020,
        https://arxiv.org/abs/2004.12265; Meng et al., "Locating and Editing Factual Associations in
        GPT", 2022, https://arxiv.org/abs/2202.05262; Heimersheim and Nanda, "How to Use and
        Interpret Activation Patching", 2024, https://arxiv.org/abs/2404.15255.
    """
    check_same_shapes(clean, corrupted)
    places = find_places(fn, clean, points, use="activation_patching")
    parts = Parts(over, positions, key_mask)
    counts = [parts.counts(place) for place in places]
    names = [place.point.name for place in places]

    def metrics(clean: Any, corrupted: Any) -> Array:
        base, donor = (corrupted, clean) if direction == "denoising" else (clean, corrupted)
        _, values = capture(fn, names)(donor)
        score = scored(metric, base)
        results = [
            map_edits(
                score,
                fn,
                place.point.name,
                replacing(values, parts),
                count,
                steps=place.steps,
                batch_size=batch_size,
            )
            for place, count in zip(places, counts, strict=True)
        ]
        if normalized:
            start, end = scored(metric, corrupted)(fn), scored(metric, clean)(fn)
            results = [(result - start) / (end - start) for result in results]
        return join_layers(results)

    check_direction(direction)
    return Scores(run_freed(metrics, clean, corrupted), ("layer", *parts.roles), names_of(places))


def check_direction(direction: str) -> None:
    """Refuse a direction that is neither of the two.

    Raises:
        ValueError: If it is not.
    """
    if direction not in ("denoising", "noising"):
        raise ValueError(f"direction={direction!r} is neither 'denoising' nor 'noising'.")
