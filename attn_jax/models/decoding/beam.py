"""Beam search: several translations of each sentence at once, in arrays of fixed shape."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from attn_jax.models.decoding.step import (
    Weights,
    decode_step,
    init_weights_buffer,
    mask_special_tokens,
    update_weights,
)


class Beams(NamedTuple):
    """Translations of each sentence, best first.

    Attributes:
        tokens: `(n, beam, max_length)`: each translation up to its end token, then padding. There
            is no end token if `max_length` was too short.
        score: `(n, beam)`, the log-probability divided by the length penalty; minus infinity where
            there are fewer translations than beams.
        weights: The attention weights of each layer, by name, `(n, beam, h, max_length, s)` in
            float32; zeros after the end. h is 1 for a recurrent model.
    """

    tokens: Int[Array, "n beam t"]
    score: Float[Array, "n beam"]
    weights: Weights


class _Search(NamedTuple):
    """The search after some tokens: `(n, beam, ...)`, but `(n * beam, ...)` in the first two."""

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
    r"""Translate by beam search, and rank the translations of each sentence.

    The score is :math:`\log p / ((5 + l) / 6)^\alpha`, where :math:`l` is the number of tokens, the
    end included, and :math:`\alpha` is `length_penalty`. The function may be jitted, with all
    arguments but `variables` and `source` static.

    Args:
        model: A translator, :class:`RecurrentTranslator` or :class:`TransformerTranslator`.
        variables: Its variables, `{"params": ...}`.
        source: Source tokens, padded at the end.
        max_length: The most tokens to write, the end included.
        beam_size: The number of translations to keep per sentence.
        length_penalty: The exponent; 0 ranks by probability alone, which favors short translations.

    Returns:
        The translations, best first.

    Raises:
        ValueError: If `beam_size` is below one, or the penalty is negative or not finite.

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
    # All beams start alike, so only the first may be extended; otherwise they would stay copies.
    total = jnp.full((n, beam_size), -jnp.inf).at[:, 0].set(0.0)
    tokens = jnp.full((n, beam_size, max_length), model.pad, jnp.int32)
    step = decode_step(model, variables, memory)
    buffer = init_weights_buffer(step, state, repeated[:, 0], max_length)
    search = _Search(state, buffer, tokens, total, jnp.zeros((n, beam_size), bool))

    def unfinished(carry: tuple[jax.Array, _Search]) -> jax.Array:
        return (carry[0] < max_length) & ~carry[1].ended.all()

    def write(carry: tuple[jax.Array, _Search]) -> tuple[jax.Array, _Search]:
        position, search = carry
        previous = search.tokens[..., jnp.maximum(position - 1, 0)]
        previous = jnp.where(position == 0, model.begin, previous)
        state, logits, weights = step(search.state, previous.reshape(-1), position)
        weights = update_weights(search.weights, weights, search.ended.reshape(-1), position)
        search = search._replace(state=state, weights=weights)
        log_probabilities = mask_special_tokens(model, jax.nn.log_softmax(logits))
        return position + 1, _choose(model, search, log_probabilities, position)

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


def _choose(
    model: nn.Module, search: _Search, log_probabilities: jax.Array, position: jax.Array
) -> _Search:
    """Keep the likeliest continuations of all beams."""
    n, beam = search.total.shape
    vocabulary = log_probabilities.shape[-1]
    # A beam that has ended continues with padding at no cost, so it competes with its final total.
    padding = jnp.where(jnp.arange(vocabulary) == model.pad, 0.0, -jnp.inf)[None, None]
    steps = jnp.where(search.ended[..., None], padding, log_probabilities.reshape(n, beam, -1))
    totals = (search.total[..., None] + steps).reshape(n, -1)
    total, index = jax.lax.top_k(totals, beam)
    parent, token = index // vocabulary, (index % vocabulary).astype(jnp.int32)
    rows = _rows(parent)
    tokens = jnp.take_along_axis(search.tokens, parent[..., None], axis=1)
    ended = jnp.take_along_axis(search.ended, parent, axis=1)
    state, weights = jax.tree.map(lambda array: array[rows], (search.state, search.weights))
    return _Search(
        state,
        weights,
        jax.lax.dynamic_update_index_in_dim(tokens, token, position, axis=2),
        total,
        ended | (token == model.end),
    )


def _rows(beams: jax.Array) -> jax.Array:
    """Return the rows `(n * beam,)` of beams that are numbered within a sentence, `(n, beam)`."""
    n, beam = beams.shape
    return (beams + beam * jnp.arange(n)[:, None]).reshape(-1)
