"""Small readers of sentences in which one token, the *evidence*, is the class.

Every reader pools its tokens by attention, after one of three contexts: none, a bidirectional GRU,
or a layer of self-attention. Its hook points are `pooling.weights` (n, 1, k), `pooling.context`
(n, 1, d), and `mixing.weights` (n, q, k) where there is self-attention.
"""

import functools
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool

from attn_jax.hooks import capture, tap

WORDS, LENGTH, CLASSES, FEATURES = 23, 11, 3, 32
FIRST = WORDS
"""The token that begins the sentences of readers with a sink."""

Context = Literal["none", "gru", "self", "any"]


class Reader(nn.Module):
    """Pooling by attention after a context; a part whose parameters are zero changes nothing."""

    context: Context

    @nn.compact
    def __call__(self, tokens: Array) -> Array:
        """Return the logits (n, c) of tokens (n, k)."""
        x = nn.Embed(WORDS + 1, FEATURES, name="embedding")(tokens)
        if self.context in ("gru", "any"):
            # Orthogonal matrices, the usual start, need QR factorizations. Several of them in one
            # program may wait for each other forever in jaxlib 0.10.2 on two busy cores.
            cell = functools.partial(
                nn.GRUCell, FEATURES, recurrent_kernel_init=nn.initializers.lecun_normal()
            )
            on, back = (nn.RNN(cell(), name=f"gru_{way}") for way in ("on", "back"))
            heard = nn.Bidirectional(on, back, name="gru")(x)
            x = x + nn.Dense(FEATURES, name="heard")(heard)
        if self.context in ("self", "any"):
            normal = nn.initializers.normal(1.0)
            x = x + self.param("places", normal, (LENGTH, FEATURES), jnp.float32)[None]
            query, key, value = (
                nn.Dense(FEATURES, name=f"mixing_{part}")(x) for part in ("query", "key", "value")
            )
            scores = jnp.einsum("nqd,nkd->nqk", query, key) / FEATURES**0.5
            weights = tap("mixing.weights", jax.nn.softmax(scores))
            mixed = nn.Dense(FEATURES, kernel_init=nn.initializers.zeros, name="mixed")
            x = x + mixed(jnp.einsum("nqk,nkd->nqd", weights, value))
        scores = nn.Dense(1, name="score")(jnp.tanh(nn.Dense(FEATURES, name="hidden")(x)))
        weights = tap("pooling.weights", jax.nn.softmax(scores.swapaxes(1, 2)))
        value = nn.Dense(FEATURES, name="value")(nn.relu(nn.Dense(FEATURES, name="lifted")(x)))
        context = tap("pooling.context", jnp.einsum("nqk,nkd->nqd", weights, value))
        return nn.Dense(CLASSES, name="logits")(context[:, 0])


class Sentences(NamedTuple):
    """Tokens (n, k), which of them is the evidence (n, k), and the class (n,)."""

    tokens: Array
    evidence: Array
    label: Array


def sentences(rng: Array, count: int, *, with_first: Bool[Array, ""] | bool = False) -> Sentences:
    """Draw sentences; `with_first` begins each with the same token."""
    places, labels, words = jax.random.split(rng, 3)
    place = jax.random.randint(places, (count, 1), jnp.int32(with_first), LENGTH)
    label = jax.random.randint(labels, (count,), 0, CLASSES)
    evidence = jnp.arange(LENGTH)[None] == place
    others = jax.random.randint(words, (count, LENGTH), CLASSES, WORDS)
    tokens = jnp.where(evidence, label[:, None], others)
    first = (jnp.arange(LENGTH) == 0) & with_first
    return Sentences(jnp.where(first[None], FIRST, tokens), evidence, label)


def read(context: Context, params: Any, tokens: Array) -> tuple[Array, Array]:
    """Return a reader's logits (n, c) and its map (n, k)."""
    run = capture(Reader(context).apply, "pooling.weights")
    logits, weights = run({"params": params}, tokens)
    return logits, weights["pooling.weights"][:, 0]
