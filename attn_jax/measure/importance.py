"""The importance of heads: by gradient, by ablation, and by pruning more and more of them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from attn_jax.hooks import Site, activation_grads, capture, intervene, patch
from attn_jax.hooks.freed import map_freed, run_freed
from attn_jax.hooks.plan import EditFunction
from attn_jax.measure.numbered import all_steps, map_edits
from attn_jax.measure.outputs import class_logits
from attn_jax.measure.reweigh import Model, Pattern

Heads = Mapping[str, Array]
"""A number for each head, by hook point: (h,), or (layers, h) for a scanned stack."""


class PruningCurve(NamedTuple):
    """A model's accuracy as its heads are removed.

    Attributes:
        share: The share of heads removed, (r,).
        accuracy: The accuracy with the least important heads removed first, (r,).
        random: The mean accuracy over random orders, (r,).
    """

    share: Float[Array, " r"]
    accuracy: Float[Array, " r"]
    random: Float[Array, " r"]


def head_importance(
    fn: Model, inputs: Any, target: Int[Array, " n"], *, attention: Pattern = "*.weights"
) -> dict[str, Array]:
    r"""Return the loss's sensitivity to each head: :math:`E_x |\partial L / \partial \xi_h|` at 1.

    :math:`\xi_h` scales the head, so its gradient is the sum of the head's weights times their
    gradients. This takes one forward and one backward pass.

    Args:
        fn: The model.
        inputs: A batch of its inputs.
        target: The true class of each.
        attention: The hook points that hold the weights, `(n, h, q, k)`.

    Returns:
        A number for each head, by hook point: `(h,)`, or `(layers, h)` for a scanned stack.

    Raises:
        ValueError: If the weights have no heads.

    Example:
        >>> from attn_jax import hooks
        >>> def fn(x):  # uses only the first of two heads
        ...     weights = hooks.tap("a.weights", jnp.full((len(x), 2, 1, 3), 1 / 3))
        ...     return (weights[:, 0, 0] * x) @ jnp.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
        >>> importance = head_importance(fn, jnp.ones((5, 3)).at[:, 0].set(4.0), jnp.ones(5, int))
        >>> bool(importance["a.weights"][0] > 0), float(importance["a.weights"][1])
        (True, 0.0)

    References:
        Michel, Levy and Neubig, "Are Sixteen Heads Really Better than One?", 2019, section 4.1,
        https://arxiv.org/abs/1905.10650.
    """
    _, weights = capture(fn, attention)(inputs)
    _check_heads({name: each.shape for name, each in weights.items()}, len(target))
    gradients = activation_grads(lambda x: _loss(fn(x), target).sum(), attention)(inputs)
    gates = {name: (weights[name] * gradients[name]).sum((-2, -1)) for name in weights}
    return {name: jnp.abs(each).mean(-2) for name, each in gates.items()}


def head_ablation(
    fn: Model, inputs: Any, target: Int[Array, " n"], *, attention: Pattern = "*.weights"
) -> dict[str, Array]:
    """Return how much the loss rises for each head when its weights are set to zero.

    Args:
        fn: The model.
        inputs: A batch of its inputs.
        target: The true class of each.
        attention: The hook points that hold the weights, `(n, h, q, k)`.

    Returns:
        The rise of the mean loss, by hook point: `(h,)`, or `(layers, h)` for a scanned stack.

    Raises:
        ValueError: If the weights have no heads.

    Example:
        >>> from attn_jax import hooks
        >>> def fn(x):  # uses only the first of two heads
        ...     weights = hooks.tap("a.weights", jnp.full((len(x), 2, 1, 3), 1 / 3))
        ...     return (weights[:, 0, 0] * x) @ jnp.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
        >>> rise = head_ablation(fn, jnp.ones((5, 3)).at[:, 0].set(4.0), jnp.zeros(5, int))
        >>> bool(rise["a.weights"][0] > 0), float(rise["a.weights"][1])
        (True, 0.0)

    References:
        Michel, Levy and Neubig, 2019, section 3.2, https://arxiv.org/abs/1905.10650.
    """
    shapes = _head_shapes(fn, inputs, attention, len(target))

    def loss(fn: Model) -> Array:
        return _loss(fn(inputs), target).mean()

    def rises() -> dict[str, Array]:
        whole = loss(fn)
        return {
            name: map_edits(
                loss, fn, name, _without_head, shape[-1:], steps=all_steps(shape[:-1])
            ).reshape(shape)
            - whole
            for name, shape in shapes.items()
        }

    return run_freed(rises)


def _without_head(head: Array) -> EditFunction:
    return patch(0.0, heads=head)


def pruning_curve(
    fn: Model,
    inputs: Any,
    target: Int[Array, " n"],
    importance: Heads,
    *,
    attention: Pattern = "*.weights",
    rng: PRNGKeyArray,
    draws: int = 8,
) -> PruningCurve:
    """Remove heads one after the other, the least important first and in random orders.

    Args:
        fn: The model.
        inputs: A batch of its inputs.
        target: The true class of each.
        importance: From :func:`head_importance` or :func:`head_ablation`.
        attention: The hook points that hold the weights.
        rng: Random key for the random orders.
        draws: The number of random orders.

    Returns:
        The accuracies.

    Raises:
        ValueError: If the importance is not of the model's heads.

    References:
        Michel, Levy and Neubig, 2019, section 4, https://arxiv.org/abs/1905.10650.
    """
    shapes = _head_shapes(fn, inputs, attention, len(target))
    heads = {name: each.shape for name, each in importance.items()}
    if heads != shapes:
        raise ValueError(
            f"importance has heads {heads}, but the model has {shapes}; compute it with "
            "head_importance or head_ablation of the same model."
        )
    flat = jnp.concatenate([importance[name].ravel() for name in shapes])
    total = len(flat)
    orders = [jnp.argsort(flat)]
    orders += [jax.random.permutation(key, total) for key in jax.random.split(rng, draws)]
    # For each order, one set of gates for each number of heads removed.
    places = jnp.argsort(jnp.stack(orders), axis=-1)
    gates = places[:, None] >= jnp.arange(total + 1)[None, :, None]

    def accuracy(gate: Array) -> Array:
        output = _gated(fn, attention, _split(gate.astype(jnp.float32), shapes))(inputs)
        return (class_logits(output).argmax(-1) == target).mean()

    curves = map_freed(accuracy, gates.reshape(-1, total)).reshape(len(orders), total + 1)
    return PruningCurve(jnp.arange(total + 1) / total, curves[0], curves[1:].mean(0))


def _gated(fn: Model, attention: Pattern, gates: Heads) -> Model:
    """Return the model with each head's weights scaled by its gate."""

    def edit(weights: Array, site: Site) -> Array:
        gate = gates[site.name]
        for step in site.index[: gate.ndim - 1]:
            gate = jax.lax.dynamic_index_in_dim(gate, step, keepdims=False)
        return weights * gate.reshape(1, -1, 1, 1).astype(weights.dtype)

    patterns = [attention] if isinstance(attention, str) else attention
    return intervene(fn, dict.fromkeys(patterns, edit))


def _loss(output: Array, target: Array) -> Array:
    logs = jax.nn.log_softmax(class_logits(output))
    return -jnp.take_along_axis(logs, target[:, None], -1)[:, 0]


def _head_shapes(
    fn: Model, inputs: Any, attention: Pattern, examples: int
) -> dict[str, tuple[int, ...]]:
    spec = [attention] if isinstance(attention, str) else list(attention)
    _, weights = jax.eval_shape(capture(fn, spec), inputs)
    shapes = {name: each.shape for name, each in weights.items()}
    _check_heads(shapes, examples)
    return {name: (*shape[:-4], shape[-3]) for name, shape in shapes.items()}


def _check_heads(shapes: Mapping[str, tuple[int, ...]], examples: int) -> None:
    for name, shape in shapes.items():
        if len(shape) < 4 or shape[-4] != examples:
            raise ValueError(
                f"{name} has weights of shape {shape}, but (..., n, h, q, k) with n={examples} "
                "is needed to tell heads apart; select hook points of multi-head attention."
            )


def _split(flat: Array, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    parts = jnp.split(flat, ends[:-1])
    return {n: part.reshape(s) for (n, s), part in zip(shapes.items(), parts, strict=True)}
