"""The loss of segmentation."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from attn_jax.train.protocols import Metrics

_SMOOTH = 1.0


def mask_loss(
    outputs: Float[Array, "n height width"],
    mask: Bool[Array, "n height width"],
    weight: Float[Array, " n"] | None = None,
) -> tuple[Float[Array, ""], Metrics]:
    r"""Compute the loss of a mask: the cross-entropy of its pixels plus the soft Dice loss.

    .. math:: \frac{1}{|p|} \sum_p \mathrm{CE}_p + 1 - \frac{2 \sum_p \hat y_p y_p + 1}
              {\sum_p \hat y_p + \sum_p y_p + 1}

    over all pixels of the batch. The metric `dice` is that of the pixels whose logit is above zero:
    twice those that are right over those marked plus those of the object, over all images together.

    Args:
        outputs: The logit of each pixel.
        mask: True for the pixels of the object.
        weight: The weight of each image, by default one.

    Returns:
        The scalar to minimize, and `loss`, the cross-entropy, and `dice`, each as (sum, weight).

    Raises:
        ValueError: If there is not one logit for each pixel of the mask.

    Example:
        >>> logits = jnp.array([[[5.0, 5.0, -5.0, -5.0]]])
        >>> _, metrics = mask_loss(logits, jnp.array([[[True, False, True, True]]]))
        >>> right, marked = metrics["dice"]
        >>> int(right), int(marked)
        (2, 5)

    References:
        Milletari, Navab and Ahmadi, "V-Net", 2016, section 3. https://arxiv.org/abs/1606.04797
    """
    if outputs.shape != mask.shape:
        raise ValueError(
            f"outputs {outputs.shape} and the mask {mask.shape} must have the same shape; the "
            "model must return one logit for each pixel."
        )
    logits, truth = outputs.astype(jnp.float32), mask.astype(jnp.float32)
    weight = jnp.ones(len(logits), jnp.float32) if weight is None else weight
    weights = jnp.broadcast_to(weight[:, None, None], logits.shape)

    entropy = (weights * optax.sigmoid_binary_cross_entropy(logits, truth)).sum()
    pixels = weights.sum()
    soft = _dice(jax.nn.sigmoid(logits), truth, weights)
    objective = entropy / jnp.maximum(pixels, 1.0)
    objective += 1 - (soft[0] + _SMOOTH) / (soft[1] + _SMOOTH)
    marked = (logits > 0).astype(jnp.float32)
    return objective, {"loss": (entropy, pixels), "dice": _dice(marked, truth, weights)}


def _dice(
    marked: Float[Array, "n height width"],
    truth: Float[Array, "n height width"],
    weights: Float[Array, "n height width"],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Return twice the pixels that are right, and those marked plus those of the object."""
    return 2 * (weights * marked * truth).sum(), (weights * (marked + truth)).sum()
