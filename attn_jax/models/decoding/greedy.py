"""Write translations: greedily, by beam search; and where the model looked."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from attn_jax.hooks import capture
from attn_jax.models.decoding.step import (
    Weights,
    looking_step,
    only_text,
    put_weights,
    room_for_weights,
)


class Decoded(NamedTuple):
    """What was written, how likely the model finds it, and where it looked.

    Attributes:
        tokens: `(n, max_length)`: up to the end token, then padding; without an end token if
            `max_length` did not suffice.
        log_probability: `(n,)`, the sum over the tokens, the end included.
        weights: Of each layer, by name, `(n, h, max_length, s)` in float32: what each step looked
            at, and zeros after the end. h is 1 for a recurrent model.
    """

    tokens: Int[Array, "n t"]
    log_probability: Float[Array, " n"]
    weights: Weights


def greedy_decode(
    model: nn.Module, variables: Any, source: Int[Array, "n s"], *, max_length: int
) -> Decoded:
    """Write the likeliest token, then the likeliest after it, up to the end.

    It may be jitted, with `model` and `max_length` static. It stops when the last sentence has
    ended. Padding and the beginning are never written.

    Args:
        model: A translator, :class:`RecurrentTranslator` or :class:`TransformerTranslator`.
        variables: Its variables, `{"params": ...}`.
        source: Padded at the end.
        max_length: The most tokens to write, the end included.

    Example:
        >>> from attn_jax.models import RecurrentTranslator
        >>> model = RecurrentTranslator(source_vocabulary=11, target_vocabulary=13)
        >>> source = jnp.array([[4, 5, 6, 0]])
        >>> variables = model.init(jax.random.key(0), source, source)
        >>> greedy_decode(model, variables, source, max_length=5).tokens.shape
        (1, 5)
    """
    n = source.shape[0]
    memory, state = model.apply(variables, source, max_length, method="start")
    tokens = jnp.full((n, max_length), model.pad, jnp.int32)
    first = jnp.full(n, model.begin, jnp.int32)
    step = looking_step(model, variables, memory)
    room = room_for_weights(step, state, first, max_length)

    def unfinished(carry: tuple) -> jax.Array:
        at, _, _, ended, _ = carry
        return (at < max_length) & ~ended.all()

    def write(carry: tuple) -> tuple:
        at, state, token, ended, found = carry
        state, logits, weights = step(state, token, at)
        likeliest, best = _likeliest(only_text(model, logits))
        token = jnp.where(ended, model.pad, likeliest)
        likelihood = best - jax.nn.logsumexp(logits, axis=-1)
        found = Decoded(
            jax.lax.dynamic_update_index_in_dim(found.tokens, token, at, axis=1),
            found.log_probability + jnp.where(ended, 0, likelihood),
            put_weights(found.weights, weights, ended, at),
        )
        return at + 1, state, token, ended | (token == model.end), found

    found = Decoded(tokens, jnp.zeros(n), room)
    *_, found = jax.lax.while_loop(unfinished, write, (0, state, first, jnp.zeros(n, bool), found))
    return found


def _likeliest(logits: Float[Array, "n v"]) -> tuple[Int[Array, " n"], Float[Array, " n"]]:
    """Where the largest is and itself, by plain reductions: half of the time of `argmax`."""
    best, size = logits.max(-1), logits.shape[1]
    places = jnp.arange(size, dtype=jnp.int32)[None]
    return jnp.where(logits == best[:, None], places, size).min(-1), best


def translation_weights(
    model: nn.Module, variables: Any, source: Int[Array, "n s"], target: Int[Array, "n t"]
) -> dict[str, Float[Array, "n h t s"]]:
    """Where the model looks in the source as it writes each token of the target.

    For a target that the model wrote itself these are the weights it wrote it with, which
    `greedy_decode` and `beam_decode` return too.

    Args:
        model: A translator, :class:`RecurrentTranslator` or :class:`TransformerTranslator`.
        variables: Its variables, `{"params": ...}`.
        source: Padded at the end.
        target: Ended and padded at the end.

    Returns:
        The weights of each layer, by name, in float32; h is 1 for a recurrent model.

    Example:
        >>> from attn_jax.models import RecurrentTranslator
        >>> model = RecurrentTranslator(source_vocabulary=11, target_vocabulary=13)
        >>> source, target = jnp.array([[4, 5, 6, 0]]), jnp.array([[7, 8, 2]])
        >>> variables = model.init(jax.random.key(0), source, target)
        >>> weights = translation_weights(model, variables, source, target)
        >>> {name: array.shape for name, array in weights.items()}
        {'decoder.attention.weights': (1, 1, 3, 4)}
    """
    look = capture(model.apply, model.looks_by)
    _, captured = look(variables, source, target)
    named = model.name_weights(captured)
    return {name: weights.astype(jnp.float32) for name, weights in named.items()}
