"""Greedy decoding, and the attention weights of a translation."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from attn_jax.hooks import capture
from attn_jax.models.decoding.step import (
    Weights,
    decode_step,
    init_weights_buffer,
    mask_special_tokens,
    update_weights,
)


class Decoded(NamedTuple):
    """One translation of each sentence, with its log-probability and its attention weights.

    Attributes:
        tokens: `(n, max_length)`: the translation up to its end token, then padding. There is no
            end token if `max_length` was too short.
        log_probability: `(n,)`, the sum over the tokens, the end included.
        weights: The attention weights of each layer, by name, `(n, h, max_length, s)` in float32;
            zeros after the end. h is 1 for a recurrent model.
    """

    tokens: Int[Array, "n t"]
    log_probability: Float[Array, " n"]
    weights: Weights


def greedy_decode(
    model: nn.Module, variables: Any, source: Int[Array, "n s"], *, max_length: int
) -> Decoded:
    """Translate by writing the likeliest token at each step.

    The function may be jitted, with `model` and `max_length` static. It stops when all sentences
    have ended, and never writes the padding or the beginning token.

    Args:
        model: A translator, :class:`RecurrentTranslator` or :class:`TransformerTranslator`.
        variables: Its variables, `{"params": ...}`.
        source: Source tokens, padded at the end.
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
    step = decode_step(model, variables, memory)
    buffer = init_weights_buffer(step, state, first, max_length)

    def unfinished(carry: tuple) -> jax.Array:
        position, _, _, ended, _ = carry
        return (position < max_length) & ~ended.all()

    def write(carry: tuple) -> tuple:
        position, state, token, ended, decoded = carry
        state, logits, weights = step(state, token, position)
        likeliest, best = _likeliest(mask_special_tokens(model, logits))
        token = jnp.where(ended, model.pad, likeliest)
        log_probability = best - jax.nn.logsumexp(logits, axis=-1)
        decoded = Decoded(
            jax.lax.dynamic_update_index_in_dim(decoded.tokens, token, position, axis=1),
            decoded.log_probability + jnp.where(ended, 0, log_probability),
            update_weights(decoded.weights, weights, ended, position),
        )
        return position + 1, state, token, ended | (token == model.end), decoded

    decoded = Decoded(tokens, jnp.zeros(n), buffer)
    start = (0, state, first, jnp.zeros(n, bool), decoded)
    *_, decoded = jax.lax.while_loop(unfinished, write, start)
    return decoded


def _likeliest(logits: Float[Array, "n v"]) -> tuple[Int[Array, " n"], Float[Array, " n"]]:
    """Return the likeliest tokens and their logits."""
    # Two plain reductions take half the time of `argmax`.
    best, size = logits.max(-1), logits.shape[1]
    tokens = jnp.arange(size, dtype=jnp.int32)[None]
    return jnp.where(logits == best[:, None], tokens, size).min(-1), best


def translation_weights(
    model: nn.Module, variables: Any, source: Int[Array, "n s"], target: Int[Array, "n t"]
) -> dict[str, Float[Array, "n h t s"]]:
    """Return the weights with which each target token attends to the source.

    For a target that the model wrote itself, these are the weights that `greedy_decode` and
    `beam_decode` return too.

    Args:
        model: A translator, :class:`RecurrentTranslator` or :class:`TransformerTranslator`.
        variables: Its variables, `{"params": ...}`.
        source: Source tokens, padded at the end.
        target: Target tokens, with the end token, padded at the end.

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
    _, captured = capture(model.apply, model.alignment_pattern)(variables, source, target)
    named = model.name_weights(captured)
    return {name: weights.astype(jnp.float32) for name, weights in named.items()}
