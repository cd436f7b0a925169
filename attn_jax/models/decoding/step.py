"""One step of writing, as every search takes it: what may follow, and where the step looked."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from attn_jax.hooks import capture

Weights = dict[str, jax.Array]
"""By the name of their layer: of a step `(n, h, s)`, of all steps `(n, h, max_length, s)`."""

Step = Callable[[Any, jax.Array, jax.Array | int], tuple[Any, jax.Array, Weights]]
"""From the state, the token before and its place to the new state, logits (n, v), and weights."""


def looking_step(model: nn.Module, variables: Any, memory: Any) -> Step:
    """Makes the step of a translator that has read its sources; all it gives is in float32.

    Args:
        model: A translator.
        variables: Its variables.
        memory: As from the model's `start`.
    """

    def step(state: Any, token: jax.Array, at: jax.Array | int) -> tuple[Any, jax.Array, Weights]:
        look = capture(partial(model.apply, method="step"), model.looks_by)
        (state, logits), captured = look(variables, memory, state, token, at)
        named = model.name_weights(captured)
        weights = {name: each[:, :, 0].astype(jnp.float32) for name, each in named.items()}
        return state, logits.astype(jnp.float32), weights

    return step


def only_text(model: nn.Module, logits: Float[Array, "*n v"]) -> Float[Array, "*n v"]:
    """Gives padding and the beginning, which nothing writes, minus infinity.

    Args:
        model: A translator, which knows their numbers.
        logits: Or log-probabilities.
    """
    numbers = jnp.arange(logits.shape[-1])
    special = (numbers == model.pad) | (numbers == model.begin)
    return jnp.where(jnp.broadcast_to(special, logits.shape), -jnp.inf, logits)


def room_for_weights(step: Step, state: Any, token: Int[Array, " n"], max_length: int) -> Weights:
    """Zeros for the weights of as many steps.

    Args:
        step: From `looking_step`.
        state: The first.
        token: The first.
        max_length: How many steps there may be.
    """
    *_, weights = jax.eval_shape(step, state, token, 0)
    shapes = {name: each.shape for name, each in weights.items()}
    return {name: jnp.zeros((n, h, max_length, s)) for name, (n, h, s) in shapes.items()}


def put_weights(
    written: Weights, weights: Weights, ended: Bool[Array, " n"], at: Int[Array, ""] | int
) -> Weights:
    """Adds those of a step to those of the steps before, but for sentences that had ended.

    Args:
        written: Of all steps.
        weights: Of this one.
        ended: Which sentences had ended before it.
        at: Its place.
    """

    def put(room: Float[Array, "n h t s"], step: Float[Array, "n h s"]) -> Float[Array, "n h t s"]:
        step = jnp.where(ended[:, None, None], 0, step)
        return jax.lax.dynamic_update_index_in_dim(room, step, at, axis=2)

    return jax.tree.map(put, written, weights)
