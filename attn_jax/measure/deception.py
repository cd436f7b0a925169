"""Deceptive training: a penalty that hides the tokens a model uses from its attention."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def deception_penalty(
    weights: Float[Array, "*b q k"], impermissible: Bool[Array, "*b k"]
) -> Float[Array, ""]:
    r"""Return the penalty of deceptive training: the mean :math:`-\log(1 - \sum_{k \in I} w_k)`.

    A model trained with it learns to attend away from the tokens that decide, and usually goes on
    using them. It is a test for any measure that claims to tell whether attention can be trusted.

    Args:
        weights: Distributions over the keys.
        impermissible: The set I: True for the keys that must get no weight.

    Returns:
        The penalty to add to a loss; 0 where these keys get no weight.

    Example:
        >>> weights = jnp.array([[[0.5, 0.25, 0.25]]])
        >>> deception_penalty(weights, jnp.array([[True, False, False]])).round(4)
        Array(0.6931, dtype=float32)

    References:
        Pruthi et al., "Learning to Deceive with Attention-Based Explanations", 2020, section 3,
        https://arxiv.org/abs/1909.07913.
    """
    mass = jnp.where(impermissible[..., None, :], weights, 0).sum(-1)
    # A weight of one would make the penalty infinite and its gradient NaN.
    return -jnp.log1p(-jnp.minimum(mass, 1 - 1e-6)).mean()
