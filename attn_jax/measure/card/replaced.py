"""Does the score hang on inputs at keys to which the attention gives nothing?"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.measure.card import orders
from attn_jax.measure.card.judged import Judged
from attn_jax.measure.card.mass import distribution
from attn_jax.measure.card.measured import Measure, Measures
from attn_jax.measure.card.ranking import NEGLIGIBLE, Erased, agree


def input_effects(judged: Judged, erased: Erased, contributions: Array) -> Measures:
    """Return what replacing the inputs at single keys does where the attention gets nothing.

    If the input at a key matters more than the key contributes, and more than its mass in the map
    says, whichever example replaces it, then an earlier layer has moved what it says to another
    key, or a path around the attention reads it.

    Args:
        judged: The model.
        erased: The scores without the attention to keys, which stand in where no input matters.
        contributions: What each key contributes to the score, (n, k).
    """
    resample = judged.plan.resample
    assert resample is not None
    mask, examples = judged.mask, len(judged.mask)
    score = judged.score(judged.fn(judged.inputs))

    def fall(keep: Array, shift: Array) -> Array:
        others = jax.tree.map(lambda x: jnp.roll(x, shift, 0), judged.inputs)
        return score - judged.score(judged.fn(resample(judged.inputs, keep | ~mask, others)))

    shifts = 1 + jnp.floor(judged.noise.shifts * (examples - 1)).astype(int)
    falls = jax.lax.map(lambda keep: fall(keep, shifts[0]), orders.all_but_one(mask))
    falls = jnp.where(mask, falls.T, 0)
    matters = jnp.abs(falls).max() > NEGLIGIBLE * jnp.abs(score).mean()
    mass, size = distribution(jnp.abs(judged.values)), jnp.abs(score)[:, None]
    # A key with mass may decide by what it does not add: its input is no surprise.
    shown = jnp.where(mask, jnp.maximum(jnp.maximum(contributions, mass * size), 0), 0)

    def again(keys: Array) -> Array:
        """Return how much the scores fall whichever other example replaces one key of each."""
        keep = mask & ~jax.nn.one_hot(keys, mask.shape[-1], dtype=bool)
        return jax.lax.map(lambda shift: fall(keep, shift), shifts[1:]).min(0)

    excess = _largest_excess(falls, shown, size, again)
    return {
        "inputs": Measure(jnp.where(matters, excess, jnp.nan), whole=score),
        "leave_one_out": agree(judged, jnp.where(matters, falls, erased.falls)),
    }


def _largest_excess(
    falls: Array, shown: Array, size: Array, again: Callable[[Array], Array]
) -> Array:
    """Return the largest part of the score, over keys, that no key's contribution explains, (n,).

    What another example brings along by chance is not in the falls by all examples: the least of
    them counts. The keys are tried again in the order of their first falls, and only as long as one
    of them may still have more than those before it.

    Args:
        falls: The falls of the scores as one example replaces each key, (n, k).
        shown: The part of the score that each key contributes or that its mass announces, (n, k).
        size: The size of the scores, (n, 1).
        again: Returns the least fall by other examples for one key of each example, (n,).
    """

    def unexplained(falls: Array) -> Array:
        # Without its evidence a model may turn to another class, and lose more than its score: a
        # key that contributes half of the score explains half of that.
        turned = jnp.maximum(falls / jnp.where(size > 0, size, jnp.inf), 1)
        return falls - shown * turned

    most = unexplained(falls)
    order = jnp.argsort(-most, axis=-1)
    limits = jnp.pad(jnp.take_along_axis(most, order, -1), ((0, 0), (0, 1)))

    def may_grow(state: tuple[Array, Array]) -> Array:
        step, largest = state
        return (limits[:, step] > largest).any()

    def try_next(state: tuple[Array, Array]) -> tuple[Array, Array]:
        step, largest = state
        keys = order[:, step]
        is_key = jax.nn.one_hot(keys, falls.shape[-1], dtype=bool)
        least = jnp.where(is_key, jnp.minimum(falls, again(keys)[:, None]), -jnp.inf)
        return step + 1, jnp.maximum(largest, unexplained(least).max(-1))

    start = jnp.int32(0), jnp.zeros(len(falls), falls.dtype)
    return jax.lax.while_loop(may_grow, try_next, start)[1]
