"""One decoding step, shared by greedy and beam search: logits, and the weights of the alignment."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from attn_jax.hooks import capture

Weights = dict[str, jax.Array]
"""Weights by layer name: `(n, h, s)` for one step, `(n, h, max_length, s)` for all steps."""

Step = Callable[[Any, jax.Array, jax.Array | int], tuple[Any, jax.Array, Weights]]
"""Maps state, previous token and position to the new state, the logits `(n, v)` and the weights."""


def decode_step(model: nn.Module, variables: Any, memory: Any) -> Step:
    """Return the decoding step of a translator, with logits and weights in float32.

    Args:
        model: A translator.
        variables: Its variables.
        memory: The memory that the model's `start` returned.
    """

    def step(
        state: Any, token: jax.Array, position: jax.Array | int
    ) -> tuple[Any, jax.Array, Weights]:
        run: Callable[..., Any] = partial(model.apply, method="step")
        if model.alignment_pattern:
            run = capture(run, model.alignment_pattern)
        result: Any = run(variables, memory, state, token, position)
        (state, logits), captured = result if model.alignment_pattern else (result, {})
        weights = {
            name: layer[:, :, 0].astype(jnp.float32)
            for name, layer in model.name_weights(captured).items()
        }
        return state, logits.astype(jnp.float32), weights

    return step


def mask_special_tokens(model: nn.Module, logits: Float[Array, "*n v"]) -> Float[Array, "*n v"]:
    """Mask the padding and beginning tokens, which a decoder never writes, with minus infinity.

    Args:
        model: A translator, which defines both tokens.
        logits: Logits or log-probabilities.
    """
    tokens = jnp.arange(logits.shape[-1])
    special = (tokens == model.pad) | (tokens == model.begin)
    return jnp.where(jnp.broadcast_to(special, logits.shape), -jnp.inf, logits)


def init_weights_buffer(
    step: Step, state: Any, token: Int[Array, " n"], max_length: int
) -> Weights:
    """Return zeros with room for the weights of `max_length` steps.

    Args:
        step: A step made by `decode_step`.
        state: The first state.
        token: The first token of each sentence.
        max_length: The most steps to take.
    """
    *_, weights = jax.eval_shape(step, state, token, 0)
    shapes = {name: layer.shape for name, layer in weights.items()}
    return {name: jnp.zeros((n, h, max_length, s)) for name, (n, h, s) in shapes.items()}


def update_weights(
    buffer: Weights, weights: Weights, ended: Bool[Array, " n"], position: Int[Array, ""] | int
) -> Weights:
    """Write one step's weights into the buffer, zeros for sentences that have ended.

    Args:
        buffer: The weights of all steps.
        weights: The weights of this step.
        ended: True for sentences that ended before this step.
        position: The number of this step.
    """

    def update(all_steps: Float[Array, "n h t s"], step: Float[Array, "n h s"]) -> jax.Array:
        step = jnp.where(ended[:, None, None], 0, step)
        return jax.lax.dynamic_update_index_in_dim(all_steps, step, position, axis=2)

    return jax.tree.map(update, buffer, weights)
