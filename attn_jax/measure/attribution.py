"""Attributions of a prediction to the keys by other means than the weights themselves."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from attn_jax.hooks.freed import map_freed
from attn_jax.measure.outputs import of_target
from attn_jax.measure.reweigh import (
    Model,
    Pattern,
    keep_keys,
    per_key,
    run_reweighed,
)


def gradient_attribution(
    fn: Model,
    inputs: Any,
    target: Int[Array, " n"],
    *,
    attention: Pattern = "*.weights",
    mask: Bool[Array, "n k"],
    renormalize: bool = True,
) -> Float[Array, "n k"]:
    r"""Return the gradient of the target's probability by the logarithm of each key's weight.

    .. math:: \sum_q w_{qk} \Big(\frac{\partial p}{\partial w_{qk}}
        - \sum_j w_{qj} \frac{\partial p}{\partial w_{qj}}\Big)

    summed over queries, heads and layers: attention times gradient, minus the part common to all
    keys of a row, which has no effect on rows that keep their sums.

    Args:
        fn: The model.
        inputs: A batch of its inputs.
        target: The class whose probability is explained.
        attention: The hook points that hold the weights.
        mask: True for the keys that exist.
        renormalize: Whether rows keep their sums; otherwise only the first term remains.

    Returns:
        A number for each key.

    Example:
        >>> from attn_jax import hooks
        >>> def fn(x):
        ...     return hooks.tap("weights", jax.nn.softmax(x)) @ jnp.array([[4.0, 0.0], [0.0, 4.0]])
        >>> gradient_attribution(fn, jnp.zeros((1, 2)), jnp.array([0]), attention="weights",
        ...                      mask=jnp.ones((1, 2), bool))
        Array([[ 0.5, -0.5]], dtype=float32)
    """

    def scaled(weights: Array, factor: Array) -> Array:
        raised = weights * (1 + factor)
        if not renormalize:
            return raised
        total = raised.sum(-1, keepdims=True)
        return raised * weights.sum(-1, keepdims=True) / jnp.where(total == 0, 1, total)

    return jnp.where(mask, _by_factor(fn, inputs, target, attention, mask.shape, scaled), 0)


def integrated_gradients(
    fn: Model,
    inputs: Any,
    target: Int[Array, " n"],
    *,
    attention: Pattern = "*.weights",
    mask: Bool[Array, "n k"],
    steps: int = 16,
) -> Float[Array, "n k"]:
    r"""Return integrated gradients along the path from no attention to the model's own.

    .. math:: \sum_q w_{qk} \int_0^1 \frac{\partial p}{\partial w_{qk}}(\alpha w)\, d\alpha

    by the midpoint rule, summed over queries, heads and layers. The values of all keys add up to
    the difference of the probability between the two ends.

    Args:
        fn: The model.
        inputs: A batch of its inputs.
        target: The class whose probability is explained.
        attention: The hook points that hold the weights.
        mask: True for the keys that exist.
        steps: The number of points of the integral.

    Returns:
        A number for each key.

    References:
        Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", 2017,
        https://arxiv.org/abs/1703.01365.
    """
    alphas = (jnp.arange(steps) + 0.5) / steps

    def gradient(alpha: Array) -> Array:
        def scaled(weights: Array, factor: Array) -> Array:
            return weights * (alpha + factor)

        return _by_factor(fn, inputs, target, attention, mask.shape, scaled)

    return jnp.where(mask, map_freed(gradient, alphas).mean(0), 0)


def _by_factor(
    fn: Model,
    inputs: Any,
    target: Array,
    attention: Pattern,
    shape: tuple[int, ...],
    scaled: Callable[[Array, Array], Array],
) -> Array:
    """Return the gradient of the targets' probabilities by a factor for each key, at zero."""

    def total(factors: Array) -> Array:
        run = run_reweighed(fn, attention, lambda w: scaled(w, per_key(factors, w)))
        return of_target(run(inputs), target).sum()

    return jax.grad(total)(jnp.zeros(shape))


def leave_one_out(
    fn: Model,
    inputs: Any,
    target: Int[Array, " n"],
    full: Float[Array, " n"],
    *,
    attention: Pattern = "*.weights",
    mask: Bool[Array, "n k"],
    renormalize: bool = True,
) -> Float[Array, "n k"]:
    """Return how much the target's probability falls without the attention to each single key.

    Args:
        fn: The model.
        inputs: A batch of its inputs.
        target: The class whose probability is explained.
        full: That probability with all keys.
        attention: The hook points that hold the weights.
        mask: True for the keys that exist.
        renormalize: Whether the removed key's weight goes to the other keys.

    Returns:
        A number for each key; 0 for masked keys.

    References:
        Jain and Wallace, "Attention is not Explanation", 2019, section 4.1,
        https://arxiv.org/abs/1902.10186.
    """

    def without(key: Array) -> Array:
        keep = mask & (jnp.arange(mask.shape[-1]) != key)[None]
        run = run_reweighed(fn, attention, keep_keys(keep, renormalize=renormalize))
        return full - of_target(run(inputs), target)

    falls = map_freed(without, jnp.arange(mask.shape[-1]))
    return jnp.where(mask, falls.T, 0)
