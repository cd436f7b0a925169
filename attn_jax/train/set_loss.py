"""The loss of detection, which matches what was found with what is there."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from attn_jax.train.protocols import Metrics

NOTHING_WEIGHT = 0.1
"""The weight of a query that matches nothing, against overconfidence that there is nothing."""

CLASS_WEIGHT, L1_WEIGHT, IOU_WEIGHT = 2.0, 5.0, 2.0
"""The weights of the three losses. Those of boxes are DETR's, which weighs classes by 1."""


def set_loss(
    logits: Float[Array, "layers n q c"],
    box: Float[Array, "layers n q 4"],
    label: Int[Array, "n m"],
    truth: Float[Array, "n m 4"],
    weight: Float[Array, " n"] | None = None,
) -> tuple[Float[Array, ""], Metrics]:
    """Compute the loss of sets: each object is matched with one query, by an optimal assignment.

    A matched query should give the object's class and box, and all others the class of no object.
    The assignment minimizes minus twice the probability of the class, plus 5 times the L1 distance
    of the boxes, minus 2 times their generalized intersection over union. It is computed on the
    host, and for each decoder layer by itself.

    Args:
        logits: The logit of each class, and last that of no object, of each layer and query.
        box: `(top, left, bottom, right)` as fractions of the image's sides.
        label: The class of each object, −1 where there is none.
        truth: The box of each object.
        weight: The weight of each image, by default one.

    Returns:
        The scalar to minimize, and as (sum, weight) the last layer's `loss`, `accuracy`, the share
        of the objects whose query gives their class, and `iou`, the mean over the objects.

    References:
        Carion et al., "End-to-End Object Detection with Transformers", 2020, section 3.1.
        https://arxiv.org/abs/2005.12872
    """
    layers, n = logits.shape[:2]
    weight = jnp.ones(n, jnp.float32) if weight is None else weight
    exists = (label >= 0) & (weight > 0)[:, None]
    match = match_objects(
        jax.lax.stop_gradient(logits),
        jax.lax.stop_gradient(box),
        jnp.broadcast_to(jnp.where(exists, label, -1), (layers, *label.shape)),
        jnp.broadcast_to(truth, (layers, *truth.shape)),
    )
    matched = jnp.take_along_axis(box, match[..., None], 2)
    share = (exists * weight[:, None])[None]
    objects = jnp.maximum(share.sum(), 1.0)
    distance = (share * jnp.abs(matched - truth[None]).sum(-1)).sum((1, 2)) / objects
    overlap, generalized = box_ious(matched, truth[None])
    apart = (share * (1 - generalized)).sum((1, 2)) / objects

    target = _targets(match, label, exists, logits.shape)
    is_object = target < logits.shape[-1] - 1
    of_query = jnp.where(is_object, 1.0, NOTHING_WEIGHT) * weight[None, :, None]
    entropy = optax.softmax_cross_entropy_with_integer_labels(logits, target)
    entropy = (of_query * entropy).sum((1, 2)) / jnp.maximum(of_query.sum((1, 2)), 1.0)

    total = CLASS_WEIGHT * entropy + L1_WEIGHT * distance + IOU_WEIGHT * apart
    named = jnp.take_along_axis(logits[-1].argmax(-1), match[-1], 1) == label
    return total.sum(), {
        "loss": (total[-1] * weight.sum(), weight.sum()),
        "accuracy": ((share[0] * named).sum(), share.sum()),
        "iou": ((share[0] * overlap[-1]).sum(), share.sum()),
    }


def match_objects(
    logits: Float[Array, "*b q c"],
    box: Float[Array, "*b q 4"],
    label: Int[Array, "*b m"],
    truth: Float[Array, "*b m 4"],
) -> Int[Array, "*b m"]:
    """Return the query of each object by an optimal assignment; 0 where there is no object.

    Args:
        logits: The logit of each class, and last that of no object.
        box: The box of each query.
        label: The class of each object, −1 where there is none.
        truth: The box of each object.

    Raises:
        ValueError: If there are fewer queries than places for objects.
    """
    if logits.shape[-2] < label.shape[-1]:
        raise ValueError(
            f"{logits.shape[-2]} queries cannot find {label.shape[-1]} objects; give the model at "
            "least as many queries as an image may have objects."
        )
    chance = jax.nn.softmax(logits)
    classes = jnp.broadcast_to(
        jnp.maximum(label, 0)[..., None, :], (*logits.shape[:-1], label.shape[-1])
    )
    named = jnp.take_along_axis(chance, classes, -1)
    pairs = box[..., :, None, :], truth[..., None, :, :]
    cost = L1_WEIGHT * jnp.abs(pairs[0] - pairs[1]).sum(-1) - CLASS_WEIGHT * named
    cost -= IOU_WEIGHT * box_ious(*pairs)[1]
    shape = jax.ShapeDtypeStruct(label.shape, jnp.int32)
    return jax.pure_callback(_assign, shape, cost, label >= 0)


def box_ious(
    box: Float[Array, "*#b 4"], other: Float[Array, "*#b 4"]
) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
    """Return the intersection over union of boxes, and its generalized form.

    The second is lower by the share of the smallest box around both that neither covers, so that it
    also has a slope where they do not touch.

    Example:
        >>> box, other = jnp.array([0.0, 0.0, 1.0, 1.0]), jnp.array([0.0, 2.0, 1.0, 3.0])
        >>> [round(float(value), 3) for value in box_ious(box, other)]
        [0.0, -0.333]

    References:
        Rezatofighi et al., "Generalized Intersection over Union", 2019.
        https://arxiv.org/abs/1902.09630
    """
    shared = _area(
        jnp.maximum(box[..., :2], other[..., :2]), jnp.minimum(box[..., 2:], other[..., 2:])
    )
    union = _area(box[..., :2], box[..., 2:]) + _area(other[..., :2], other[..., 2:]) - shared
    around = _area(
        jnp.minimum(box[..., :2], other[..., :2]), jnp.maximum(box[..., 2:], other[..., 2:])
    )
    iou = shared / jnp.maximum(union, 1e-9)
    return iou, iou - (around - union) / jnp.maximum(around, 1e-9)


def _area(start: jax.Array, end: jax.Array) -> jax.Array:
    return jnp.maximum(end - start, 0).prod(-1)


def _targets(
    match: jax.Array, label: jax.Array, exists: jax.Array, shape: tuple[int, ...]
) -> jax.Array:
    """Return the class that each query of each layer should give."""
    layers, n, queries, classes = shape
    # Places without an object write to a query that is not there.
    where = jnp.where(exists[None], match, queries)
    nothing = jnp.full((layers, n, queries), classes - 1)
    index = jnp.arange(layers)[:, None, None], jnp.arange(n)[None, :, None], where
    return nothing.at[index].set(jnp.broadcast_to(label, where.shape), mode="drop")


def _assign(cost: jax.Array | np.ndarray, exists: jax.Array | np.ndarray) -> np.ndarray:
    """Assign on the host, where JAX gives arrays of its own or NumPy's."""
    from scipy.optimize import linear_sum_assignment

    cost, exists = np.asarray(cost), np.asarray(exists)
    flat = cost.reshape(-1, *cost.shape[-2:])
    match = np.zeros((len(flat), exists.shape[-1]), np.int32)
    for one, shown, row in zip(flat, exists.reshape(match.shape), match, strict=True):
        queries, objects = linear_sum_assignment(one[:, shown])
        row[np.flatnonzero(shown)[objects]] = queries
    return match.reshape(exists.shape)
