"""How far the maps of a model depend on the seed that it was trained with."""

import itertools
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from attn_jax.measure.agreement import bootstrap, jensen_shannon, kendall_tau
from attn_jax.measure.distributions import check_distributions
from attn_jax.measure.keywords import rng_by_keyword


class SeedAgreement(NamedTuple):
    """The agreement of the maps of models that differ in the seed of their training.

    Attributes:
        divergence: The Jensen-Shannon divergence in bits, a mean over pairs of seeds and examples.
        divergence_interval: Its interval for other examples, the seeds being these.
        tau: Kendall's rank correlation, the same way.
        tau_interval: Its interval.
        pair_divergences: The mean divergence of each pair of seeds, (0, 1), (0, 2), …, (1, 2), ….
            Their spread tells how much depends on the seeds.
        pair_taus: The same for the rank correlation.
    """

    divergence: Float[Array, ""]
    divergence_interval: Float[Array, "2"]
    tau: Float[Array, ""]
    tau_interval: Float[Array, "2"]
    pair_divergences: Float[Array, " p"]
    pair_taus: Float[Array, " p"]


@rng_by_keyword
def seed_agreement(
    maps: Float[Array, "seeds n k"],
    mask: Bool[Array, "n k"] | None = None,
    *,
    rng: PRNGKeyArray,
    draws: int = 1000,
    level: float = 0.95,
) -> SeedAgreement:
    """Compare the maps of models trained with several seeds, pair by pair.

    Train the same model with other seeds, run all of them on the same inputs, and stack their maps.
    An explanation that a map gives is one of the model, not of the task, if the maps of equally
    good models disagree. Compare heads only where they correspond: average over them, or take
    models with one.

    Args:
        maps: A distribution over the keys for each example, from each seed's model.
        mask: True for the keys that exist; all by default.
        rng: Random key for resampling the examples.
        draws: The number of resampled sets for the intervals.
        level: The share of sets whose mean lies within the interval.

    Returns:
        Divergence and rank correlation, with intervals and by pairs. Examples whose keys are all
        tied in a map have no rank correlation and are left out of it.

    Raises:
        ValueError: If there are fewer than two seeds, or the maps are not distributions.

    Example:
        >>> maps = jnp.array([[[0.7, 0.2, 0.1]], [[0.6, 0.3, 0.1]], [[0.1, 0.2, 0.7]]])
        >>> result = seed_agreement(maps, rng=jax.random.key(0))
        >>> result.pair_taus.round(3).tolist(), round(float(result.tau), 3)
        ([1.0, -1.0, -1.0], -0.333)

    References:
        Jain and Wallace, "Attention is not Explanation", 2019, https://arxiv.org/abs/1902.10186,
        for both measures; Wiegreffe and Pinter, "Attention is not not Explanation", 2019,
        https://arxiv.org/abs/1908.04626, for the variance between seeds.
    """
    if len(maps) < 2:
        raise ValueError(f"maps is from {len(maps)} seeds; two or more are needed.")
    check_distributions(maps, "maps")
    pairs = list(itertools.combinations(maps, 2))
    divergences = jnp.stack([jensen_shannon(one, other) for one, other in pairs])
    taus = jnp.stack([kendall_tau(one, other, mask) for one, other in pairs])
    results = []
    for values in (divergences, taus):
        mean, *ends = bootstrap(jnp.nanmean(values, axis=0), rng=rng, draws=draws, level=level)
        results += [mean, jnp.stack(ends)]
    return SeedAgreement(*results, *(jnp.nanmean(x, axis=1) for x in (divergences, taus)))
