"""AtMan: what a key is worth, by attending to it less in all layers."""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from attn_jax.hooks import Site, intervene
from attn_jax.hooks.freed import run_freed
from attn_jax.hooks.hoist import map_hoisted
from attn_jax.hooks.plan import EditFunction
from attn_jax.measure.outputs import class_logits, of_target
from attn_jax.measure.reweigh import Model, Pattern, per_key

Edited = Literal["scores", "weights"]


def atman(
    fn: Model,
    inputs: Any,
    target: Int[Array, " n"],
    *,
    attention: Pattern | None = None,
    mask: Bool[Array, "n k"],
    factor: float = 0.9,
    edited: Edited = "scores",
    embeddings: Float[Array, "n k d"] | None = None,
    threshold: float = 0.7,
    batch_size: int | None = None,
) -> Float[Array, "n k"]:
    r"""Return how much the loss rises when the attention to each key is suppressed everywhere.

    The scores of the key are multiplied by one minus a factor, in all layers, heads and queries:

    .. math:: \tilde s_{qk} = s_{qk} (1 - f_k), \qquad
        I_i = \log p(y) - \log \tilde p_i(y)

    where :math:`f_k` is the factor for the suppressed key :math:`i` and 0 for the others. With
    `embeddings`, keys whose embeddings resemble that of :math:`i` are suppressed with it, as a
    model finds in them what it misses in :math:`i`: their factor is multiplied by the cosine
    similarity, and is 0 below a threshold.

    A score below zero is raised by the paper's formula. Where that matters, and in models that have
    hook points for the weights alone, set `edited="weights"`: the weights are multiplied by
    :math:`1 - f_k` and scaled to the sum that their row had. That is another edit than the paper's:
    it adds :math:`\log(1 - f_k)` to the scores.

    The model runs once for each key, many of them at once, in one compiled program.

    Args:
        fn: The model.
        inputs: A batch of its inputs.
        target: The class whose loss rises.
        attention: The hook points that hold the scores, or the weights; `"*.scores"` or
            `"*.weights"` if None.
        mask: True for the keys that exist.
        factor: How much a key is suppressed; less than 0 to amplify it.
        edited: What is multiplied.
        embeddings: An embedding for each key.
        threshold: The least similarity at which other keys are suppressed too.
        batch_size: How many keys are tried at once; if None, as many as half a gigabyte holds.

    Returns:
        A number for each key, positive for one that supports the target; 0 for masked keys.

    Raises:
        HookError: If a glob matches nothing.
        ValueError: If the hook points have other keys than the mask, the factor is not below 1,
            or `edited` is neither.

    Example:
        >>> from attn_jax import hooks
        >>> def fn(x):
        ...     weights = jax.nn.softmax(hooks.tap("scores", x))
        ...     return weights @ jnp.array([[4.0, 0.0], [0.0, 4.0]])
        >>> x, mask = jnp.array([[2.0, 1.0]]), jnp.ones((1, 2), bool)
        >>> rise = atman(fn, x, jnp.array([0]), attention="scores", mask=mask)
        >>> bool(rise[0, 0] > 0 > rise[0, 1])
        True

    References:
        Deiseroth et al., "AtMan: Understanding Transformer Predictions Through Memory Efficient
        Attention Manipulation", 2023, sections 3.1 to 3.3, https://arxiv.org/abs/2301.08110.
    """
    if factor >= 1:
        raise ValueError(f"factor={factor} leaves nothing of a score; pass a number below 1.")
    if edited not in _EDITS:
        raise ValueError(f"edited={edited!r} is none of {', '.join(_EDITS)}.")
    names = f"*.{edited}" if attention is None else attention
    patterns = [names] if isinstance(names, str) else names

    def rises(inputs: Any) -> Array:
        def log_probability(factors: Array) -> Array:
            edit: EditFunction = functools.partial(_EDITS[edited], factors)
            output = intervene(fn, dict.fromkeys(patterns, edit))(inputs)
            return of_target(jax.nn.log_softmax(class_logits(output)), target)

        # The keys, and last no key at all.
        factors = jnp.concatenate([_factors(mask, embeddings, threshold), 0 * mask[None]])
        each = map_hoisted(log_probability, factor * factors, batch_size=batch_size)
        return each[-1:] - each[:-1]

    return jnp.where(mask, run_freed(rises, inputs).T, 0)


def _factors(mask: Array, embeddings: Array | None, threshold: float) -> Float[Array, "k n k"]:
    """Return for each suppressed key the shares of its factor that all keys get."""
    same = jnp.broadcast_to(jnp.eye(mask.shape[-1])[:, None], (mask.shape[-1], *mask.shape))
    if embeddings is None:
        return same
    norms = jnp.linalg.norm(embeddings, axis=-1, keepdims=True)
    unit = embeddings / jnp.where(norms == 0, 1, norms)
    cosine = jnp.einsum("nid,nkd->ink", unit, unit, precision="highest")
    return jnp.where(same == 1, 1, jnp.where(cosine >= threshold, cosine, 0))


def _suppress_scores(factors: Array, scores: Array, site: Site) -> Array:
    _check_keys(factors, scores, site)
    changed = scores * (1 - per_key(factors, scores))
    return jnp.where(jnp.isneginf(scores), scores, changed).astype(scores.dtype)


def _suppress_weights(factors: Array, weights: Array, site: Site) -> Array:
    _check_keys(factors, weights, site)
    changed = weights * (1 - per_key(factors, weights))
    total = changed.sum(-1, keepdims=True)
    sums = weights.sum(-1, keepdims=True) / jnp.where(total == 0, 1, total)
    return (changed * sums).astype(weights.dtype)


def _check_keys(factors: Array, value: Array, site: Site) -> None:
    if value.shape[0] != factors.shape[0] or value.shape[-1] != factors.shape[-1]:
        raise ValueError(
            f"{site.name} has shape {value.shape}, but the mask is for {factors.shape[0]} examples "
            f"of {factors.shape[-1]} keys; select hook points of these keys with attention=[...]."
        )


_EDITS = {"scores": _suppress_scores, "weights": _suppress_weights}
