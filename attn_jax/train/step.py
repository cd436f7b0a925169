"""The state of training and the pure step that advances it."""

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PRNGKeyArray

from attn_jax.train.protocols import Apply, Batch, Loss, Metrics, Params, Prepare


class TrainState(NamedTuple):
    """The state that a step reads and writes, as one pytree.

    Attributes:
        params: The model's parameters.
        opt_state: The optimizer's state.
        step: The number of steps taken.
        rng: The key of the run. It never changes: each step folds its number in.
    """

    params: Params
    opt_state: Any
    step: Int[Array, ""]
    rng: PRNGKeyArray


Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
"""A pure function from a state and a batch to the next state and the batch's metrics."""


def init_state(params: Params, optimizer: optax.GradientTransformation, seed: int) -> TrainState:
    """Return the state before the first step.

    Args:
        params: Fresh parameters.
        optimizer: The optimizer.
        seed: The seed of every random stream of the training.

    Returns:
        The state at step 0.
    """
    return TrainState(params, optimizer.init(params), jnp.int32(0), jax.random.key(seed))


def stream(rng: PRNGKeyArray, name: str, step: Int[Array, ""] | int = 0) -> PRNGKeyArray:
    """Return the key of one named stream at one step, independent of all the others.

    Args:
        rng: The key of the run.
        name: The name of the stream.
        step: The step.

    Returns:
        A key for this name and step alone.

    Example:
        >>> key = jax.random.key(0)
        >>> bool(stream(key, "dropout", 1) == stream(key, "augment", 1))
        False
    """
    return jax.random.fold_in(jax.random.fold_in(rng, zlib.crc32(name.encode())), step)


def make_train_step(
    apply: Apply,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    *,
    prepare: Prepare | None = None,
) -> Step:
    """Build the pure, jitted training step.

    Args:
        apply: Runs the model; its `rng` is the stream `apply`.
        loss: Computes the loss and metrics.
        optimizer: Turns gradients into updates.
        prepare: Turns a stored batch into the model's inputs; its `rng` is the stream `prepare`.

    Returns:
        `step(state, batch) -> (state, metrics)`, each metric as (sum, weight).

    Example:
        >>> def apply(params, batch, *, rng=None, train=False):
        ...     return batch["x"] * params
        >>> def loss(outputs, batch):
        ...     error = ((outputs - batch["y"]) ** 2).sum()
        ...     return error, {"loss": (error, jnp.float32(outputs.size))}
        >>> optimizer = optax.sgd(0.1)
        >>> step = make_train_step(apply, loss, optimizer)
        >>> state = init_state(jnp.float32(1.0), optimizer, seed=0)
        >>> state, metrics = step(state, {"x": jnp.ones(1), "y": jnp.zeros(1)})
        >>> int(state.step), round(float(state.params), 3)
        (1, 0.8)
    """

    @jax.jit
    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        if prepare is not None:
            batch = prepare(batch, rng=stream(state.rng, "prepare", state.step))
        rng = stream(state.rng, "apply", state.step)

        def objective(params: Params) -> tuple[Array, Metrics]:
            return loss(apply(params, batch, rng=rng, train=True), batch)

        (_, metrics), gradients = jax.value_and_grad(objective, has_aux=True)(state.params)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return state._replace(params=params, opt_state=opt_state, step=state.step + 1), metrics

    return step
