"""Training that makes attention lie: the penalty on tokens that it must not be seen to use."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def deception_penalty(
    weights: Float[Array, "*b q k"], impermissible: Bool[Array, "*b k"]
) -> Float[Array, ""]:
    r"""What deceptive training adds to a loss: :math:`-\log(1 - \sum_{k \in I} w_k)`, on average.

    A model trained with it learns to look away from the tokens that decide, and mostly to use them
    all the same: a test for any measure that claims to tell whether attention can be believed.

    Args:
        weights: Distributions over the keys.
        impermissible: I, the keys that must get no weight.

    Returns:
        0 where they get none.

    Example:
        >>> weights = jnp.array([[[0.5, 0.25, 0.25]]])
        >>> deception_penalty(weights, jnp.array([[True, False, False]])).round(4)
        Array(0.6931, dtype=float32)

    References:
        Pruthi et al., "Learning to Deceive with Attention-Based Explanations", 2020, section 3,
        https://arxiv.org/abs/1909.07913.
    """
    mass = jnp.where(impermissible[..., None, :], weights, 0).sum(-1)
    # A weight of one would be infinitely bad, and its gradient lost.
    return -jnp.log1p(-jnp.minimum(mass, 1 - 1e-6)).mean()
