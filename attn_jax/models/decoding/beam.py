"""Beam search: several translations are pursued at once, under one program of fixed shapes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from attn_jax.models.decoding.step import (
    Weights,
    looking_step,
    only_text,
    put_weights,
    room_for_weights,
)


class Beams(NamedTuple):
    """Translations of each sentence, the best first.

    Attributes:
        tokens: `(n, beam, max_length)`: each up to its end token, then padding; without an end
            token if `max_length` did not suffice.
        score: `(n, beam)`, the log-probability over the length penalty; minus infinity where there
            are no more translations.
        weights: Of each layer, by name, `(n, beam, h, max_length, s)` in float32: what each step
            looked at, and zeros after the end. h is 1 for a recurrent model.
    """

    tokens: Int[Array, "n beam t"]
    score: Float[Array, "n beam"]
    weights: Weights


class _Search(NamedTuple):
    """What is known after some tokens: `(n, beam, ...)`, but the first two `(n * beam, ...)`."""

    state: Any
    weights: Weights
    tokens: jax.Array
    total: jax.Array
    ended: jax.Array


def beam_decode(
    model: nn.Module,
    variables: Any,
    source: Int[Array, "n s"],
    *,
    max_length: int,
    beam_size: int = 4,
    length_penalty: float = 0.6,
) -> Beams:
    r"""Pursue the likeliest translations of each sentence, and rank those found in the end.

    The score is :math:`\log p / ((5 + l) / 6)^\alpha`, with :math:`l` the tokens written, the end
    included, and :math:`\alpha` = `length_penalty`. It may be jitted, with all but `variables` and
    `source` static.

    Args:
        model: A translator, :class:`RecurrentTranslator` or :class:`TransformerTranslator`.
        variables: Its variables, `{"params": ...}`.
        source: Padded at the end.
        max_length: The most tokens to write, the end included.
        beam_size: How many translations are pursued.
        length_penalty: 0 ranks by probability alone, which favours short ones.

    Returns:
        The translations, the best first.

    Raises:
        ValueError: If there is no beam, or the penalty is negative or no number.

    Example:
        >>> from attn_jax.models import RecurrentTranslator
        >>> model = RecurrentTranslator(source_vocabulary=11, target_vocabulary=13)
        >>> source = jnp.array([[4, 5, 6, 0]])
        >>> variables = model.init(jax.random.key(0), source, source)
        >>> beam_decode(model, variables, source, max_length=5, beam_size=3).tokens.shape
        (1, 3, 5)

    References:
        Wu et al., "Google's Neural Machine Translation System", 2016, section 7, for the length
        penalty. https://arxiv.org/abs/1609.08144
    """
    if beam_size < 1:
        raise ValueError(f"beam_size={beam_size} must be at least 1.")
    if not 0 <= length_penalty < float("inf"):
        raise ValueError(f"length_penalty={length_penalty} must be finite and at least 0.")
    n = source.shape[0]
    repeated = jnp.repeat(source, beam_size, axis=0)
    memory, state = model.apply(variables, repeated, max_length, method="start")
    # At first all beams are alike; one alone may go on.
    total = jnp.full((n, beam_size), -jnp.inf).at[:, 0].set(0.0)
    tokens = jnp.full((n, beam_size, max_length), model.pad, jnp.int32)
    step = looking_step(model, variables, memory)
    room = room_for_weights(step, state, repeated[:, 0], max_length)
    search = _Search(state, room, tokens, total, jnp.zeros((n, beam_size), bool))

    def unfinished(carry: tuple[jax.Array, _Search]) -> jax.Array:
        return (carry[0] < max_length) & ~carry[1].ended.all()

    def write(carry: tuple[jax.Array, _Search]) -> tuple[jax.Array, _Search]:
        at, now = carry
        before = jnp.where(at == 0, model.begin, now.tokens[..., jnp.maximum(at - 1, 0)])
        state, logits, weights = step(now.state, before.reshape(-1), at)
        weights = put_weights(now.weights, weights, now.ended.reshape(-1), at)
        now = now._replace(state=state, weights=weights)
        told = only_text(model, jax.nn.log_softmax(logits))
        return at + 1, _choose(model, now, told, at)

    _, search = jax.lax.while_loop(unfinished, write, (jnp.int32(0), search))
    lengths = (search.tokens != model.pad).sum(-1)
    score = search.total / ((5 + lengths) / 6) ** length_penalty
    order = jnp.argsort(-score, axis=-1)
    rows = _rows(order)
    return Beams(
        jnp.take_along_axis(search.tokens, order[..., None], axis=1),
        jnp.take_along_axis(score, order, axis=1),
        {
            name: weights[rows].reshape(n, beam_size, *weights.shape[1:])
            for name, weights in search.weights.items()
        },
    )


def _choose(model: nn.Module, search: _Search, told: jax.Array, at: jax.Array) -> _Search:
    """Keeps the likeliest of all beams' continuations; what has ended goes on by padding alone."""
    n, beam = search.total.shape
    vocabulary = told.shape[-1]
    padding = jnp.where(jnp.arange(vocabulary) == model.pad, 0.0, -jnp.inf)[None, None]
    told = jnp.where(search.ended[..., None], padding, told.reshape(n, beam, -1))
    whole = (search.total[..., None] + told).reshape(n, -1)
    total, chosen = jax.lax.top_k(whole, beam)
    parent, token = chosen // vocabulary, (chosen % vocabulary).astype(jnp.int32)
    rows = _rows(parent)
    tokens = jnp.take_along_axis(search.tokens, parent[..., None], axis=1)
    ended = jnp.take_along_axis(search.ended, parent, axis=1)
    state, weights = jax.tree.map(lambda array: array[rows], (search.state, search.weights))
    return _Search(
        state,
        weights,
        jax.lax.dynamic_update_index_in_dim(tokens, token, at, axis=2),
        total,
        ended | (token == model.end),
    )


def _rows(beams: jax.Array) -> jax.Array:
    """Where beams `(n, beam)` of their sentences lie among all, `(n * beam,)`."""
    n, beam = beams.shape
    return (beams + beam * jnp.arange(n)[:, None]).reshape(-1)
