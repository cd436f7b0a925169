"""Class logits of a model's output, including a single logit that stands for two classes."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num


def class_logits(output: Num[Array, "n *c"]) -> Float[Array, "n c"]:
    """Return one float32 logit per class.

    A binary classifier may give a single logit, whose sigmoid is the probability of class 1. The
    softmax of that logit alone would always be one; the softmax of `[-z/2, z/2]` is the sigmoid.

    Args:
        output: A model's output: `(n, classes)`, or `(n, 1)` or `(n,)` for a single logit.

    Returns:
        The logits; two classes for a single logit.

    Example:
        >>> class_logits(jnp.array([[3.0], [-1.0]]))
        Array([[-1.5,  1.5],
               [ 0.5, -0.5]], dtype=float32)
    """
    logits = jnp.asarray(output, jnp.float32)
    logits = logits[:, None] if logits.ndim == 1 else logits
    return jnp.concatenate([-logits / 2, logits / 2], -1) if logits.shape[-1] == 1 else logits


def check_probabilities(given: tuple[int, ...], needed: tuple[int, ...]) -> None:
    """Refuse probabilities whose shape is not that of the model's.

    Args:
        given: The shape of the probabilities that were passed in.
        needed: The shape of those that the model gives.

    Raises:
        ValueError: If they differ.
    """
    if given != needed:
        raise ValueError(
            f"probabilities has shape {given}, but the model gives {needed}: one column per class. "
            "A single logit stands for two classes: stack 1 - p and p, with p = sigmoid(logit)."
        )


def of_target(probabilities: Float[Array, "n c"], target: Int[Array, " n"]) -> Float[Array, " n"]:
    """Return the probability of each example's target.

    Args:
        probabilities: One column per class.
        target: The class of each example.

    Raises:
        ValueError: If there is not one class for each example.
    """
    if target.shape != probabilities.shape[:1]:
        raise ValueError(
            f"target has shape {target.shape}, but {probabilities.shape[:1]} is needed, one class "
            "for each example."
        )
    return jnp.take_along_axis(probabilities, target[:, None], -1)[:, 0]
