"""Soft erasure: sufficiency and comprehensiveness with keys kept at random by their importance."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from attn_jax.hooks.freed import map_freed
from attn_jax.measure.outputs import of_target
from attn_jax.measure.reweigh import Model, Pattern, keep_keys, run_reweighed


def soft_sufficiency(
    fn: Model,
    inputs: Any,
    values: Float[Array, "n k"],
    target: Int[Array, " n"],
    *,
    attention: Pattern = "*.weights",
    mask: Bool[Array, "n k"],
    rng: PRNGKeyArray,
    draws: int = 16,
) -> Float[Array, " n"]:
    r"""Return how much of the prediction remains if keys stay by chance, the important often.

    .. math:: 1 - \frac{E \max(0, p - p_R)}{\max(0, p - p_\emptyset)}

    where each key is in :math:`R` with a probability of its importance, as a share of the largest
    of its example, and :math:`p_\emptyset` is the probability without attention to any key. No
    number of keys has to be chosen.

    Args:
        fn: The model.
        inputs: A batch of its inputs.
        values: The importance of each key; its sign does not count.
        target: The class whose probability is followed.
        attention: The hook points that hold the weights.
        mask: True for the keys that exist.
        rng: Random key for the draws.
        draws: How many sets of keys are drawn.

    Returns:
        1 if nothing is lost; NaN where the prediction does not fall without all keys.

    Example:
        >>> from attn_jax import hooks
        >>> def fn(x):
        ...     return hooks.tap("weights", jax.nn.softmax(x)) @ jnp.array([[9.0, 0.0], [0.0, 9.0]])
        >>> x, mask, target = jnp.array([[3.0, 0.0]]), jnp.ones((1, 2), bool), jnp.array([0])
        >>> soft_sufficiency(fn, x, jnp.array([[1.0, 0.0]]), target, attention="weights", mask=mask,
        ...                  rng=jax.random.key(0))
        Array([1.], dtype=float32)

    References:
        Zhao and Aletras, "Incorporating Attribution Importance for Improving Faithfulness
        Metrics", 2023, https://arxiv.org/abs/2305.10496. They mask the elements of embeddings;
        this function removes the attention to keys.
    """
    lost, all_lost = _falls(fn, inputs, _shares(values, mask), target, attention, mask, rng, draws)
    return 1 - lost / all_lost


def soft_comprehensiveness(
    fn: Model,
    inputs: Any,
    values: Float[Array, "n k"],
    target: Int[Array, " n"],
    *,
    attention: Pattern = "*.weights",
    mask: Bool[Array, "n k"],
    rng: PRNGKeyArray,
    draws: int = 16,
) -> Float[Array, " n"]:
    r"""Return how much of the prediction is lost if keys go by chance, the important often.

    .. math:: \frac{E \max(0, p - p_{\setminus R})}{\max(0, p - p_\emptyset)}

    Args:
        fn: The model.
        inputs: A batch of its inputs.
        values: The importance of each key; its sign does not count.
        target: The class whose probability is followed.
        attention: The hook points that hold the weights.
        mask: True for the keys that exist.
        rng: Random key for the draws.
        draws: How many sets of keys are drawn.

    Returns:
        1 if all is lost that the attention adds; NaN where it adds nothing.

    Example:
        >>> from attn_jax import hooks
        >>> def fn(x):
        ...     return hooks.tap("weights", jax.nn.softmax(x)) @ jnp.array([[9.0, 0.0], [0.0, 0.0]])
        >>> x, mask, target = jnp.array([[3.0, 0.0]]), jnp.ones((1, 2), bool), jnp.array([0])
        >>> soft_comprehensiveness(fn, x, jnp.array([[1.0, 0.0]]), target, attention="weights",
        ...                        mask=mask, rng=jax.random.key(0)).round(3)
        Array([1.], dtype=float32)

    References:
        Zhao and Aletras, 2023, https://arxiv.org/abs/2305.10496.
    """
    kept = 1 - _shares(values, mask)
    lost, all_lost = _falls(fn, inputs, kept, target, attention, mask, rng, draws)
    return lost / all_lost


def _shares(values: Array, mask: Array) -> Array:
    """Return the importance of each key as a share of the largest of its example."""
    size = jnp.where(mask, jnp.abs(values), 0)
    largest = size.max(-1, keepdims=True)
    return size / jnp.where(largest == 0, 1, largest)


def _falls(
    fn: Model,
    inputs: Any,
    probability: Array,
    target: Array,
    attention: Pattern,
    mask: Array,
    rng: Array,
    draws: int,
) -> tuple[Array, Array]:
    """Return the mean fall if keys are kept with some probabilities, and that without any key."""

    def run(keep: Array) -> Array:
        change = keep_keys(keep, renormalize=False)
        return of_target(run_reweighed(fn, attention, change)(inputs), target)

    kept = jax.random.uniform(rng, (draws, *mask.shape)) < probability[None]
    ends = jnp.stack([mask, jnp.zeros_like(mask)])
    runs = map_freed(run, jnp.concatenate([ends, kept & mask[None]]))
    lost = jnp.maximum(runs[:1] - runs[2:], 0).mean(0)
    everything = runs[0] - runs[1]
    return lost, jnp.where(everything > 0, everything, jnp.nan)
