"""Attention-only models as plain functions, with weights written by hand or drawn."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax.hooks import tap

VOCABULARY, POSITIONS = 11, 17
FIRST = VOCABULARY - 1
"""The token that begins a text, and which is not drawn."""


class Weights(NamedTuple):
    """The weights of a model of `l` layers and `h` heads, without biases."""

    embedding: np.ndarray  # (v, f)
    positions: np.ndarray  # (t, f)
    query: np.ndarray  # (l, h, f, d)
    key: np.ndarray
    value: np.ndarray
    out: np.ndarray  # (l, h, d, f)
    unembedding: np.ndarray  # (f, v)
    mlp_in: np.ndarray | None = None  # (l, f, m)
    mlp_out: np.ndarray | None = None


def model(weights, *, normalizes=False):
    """Return a causal model as a function of tokens, with the hook points of checkpoints.

    Normalizing, each part reads the stream divided by its root mean square.
    """
    weights = jax.tree.map(jnp.asarray, weights)

    def norm(name, x):
        if not normalizes:
            return x
        size = jnp.sqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-5)
        return x / tap(f"{name}.denominator", size)

    def attend(i, x):
        name = f"layers.{i}.attention"
        query, key, value = (
            tap(f"{name}.{leaf}", jnp.einsum("btf,hfd->bthd", x, getattr(weights, leaf)[i]))
            for leaf in ("query", "key", "value")
        )
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / np.sqrt(query.shape[-1])
        causal = jnp.broadcast_to(jnp.tri(x.shape[1], dtype=bool), scores.shape)
        scores = tap(f"{name}.scores", jnp.where(causal, scores, -jnp.inf))
        maps = tap(f"{name}.weights", jax.nn.softmax(scores))
        context = tap(f"{name}.context", jnp.einsum("bhqk,bkhd->bqhd", maps, value))
        heads = tap(f"{name}.head_output", jnp.einsum("bthd,hdf->bthf", context, weights.out[i]))
        return heads.sum(-2)

    def run(tokens):
        positions = weights.positions[: tokens.shape[1]][None]
        x = tap("embedding", weights.embedding[tokens] + positions)
        for i in range(len(weights.query)):
            x = tap(f"layers.{i}.residual", x)
            x = tap(f"layers.{i}.residual_mid", x + attend(i, norm(f"layers.{i}.norm", x)))
            if weights.mlp_in is not None:
                hidden = jax.nn.relu(norm(f"layers.{i}.mlp_norm", x) @ weights.mlp_in[i])
                x = x + tap(f"layers.{i}.mlp", hidden @ weights.mlp_out[i])
            x = tap(f"layers.{i}.residual_out", x)
        return tap("logits", norm("norm", x) @ weights.unembedding)

    return run


def random_weights(layers=2, heads=3, features=10, head_dim=5, mlp_dim=None, seed=0):
    """Draw weights large enough for attention that is not uniform."""
    rng = np.random.default_rng(seed)

    def draw(*shape, scale=1):
        return rng.normal(0, scale * shape[-2] ** -0.5, shape).astype(np.float32)

    projection = (layers, heads, features, head_dim)
    return Weights(
        rng.normal(0, 1, (VOCABULARY, features)).astype(np.float32),
        rng.normal(0, 1, (POSITIONS, features)).astype(np.float32),
        draw(*projection, scale=2),
        draw(*projection, scale=2),
        draw(*projection),
        draw(layers, heads, head_dim, features),
        draw(features, VOCABULARY),
        draw(layers, features, mlp_dim) if mlp_dim else None,
        draw(layers, mlp_dim, features) if mlp_dim else None,
    )


PREVIOUS, CURRENT, SINK, UNIFORM = 0, 1, 2, 3
"""The heads of the first layer of the induction model."""
INDUCTION, DUPLICATE, SUCCESSOR, FORGETTING = 0, 1, 2, 3
"""Those of the second layer; the last attends to everything alike and lowers its logits."""


def induction_weights(sharpness=60.0):
    """Write an induction circuit, and heads beside it that do other known things.

    The features are four blocks: the token, its position, the token before it (which the first head
    of the first layer writes), and the prediction, which the unembedding reads. A head attends with
    weight one, but for `exp(-sharpness)`, to the keys that match its query, and to all alike if
    none does. What heads write into the prediction is +2 for the token that induction finds, +0.5
    for the current token, +1 for the one after it, and -1 times the mean over all tokens.
    """
    blocks = np.split(
        np.arange(3 * VOCABULARY + POSITIONS), np.cumsum([VOCABULARY, POSITIONS, VOCABULARY])
    )
    token, position, before, prediction = blocks
    features, head_dim = 3 * VOCABULARY + POSITIONS, VOCABULARY + POSITIONS
    query, key, value = (np.zeros((2, 4, features, head_dim), np.float32) for _ in range(3))
    out = np.zeros((2, 4, head_dim, features), np.float32)
    large = sharpness * np.sqrt(head_dim)
    tokens, places = np.arange(VOCABULARY), np.arange(POSITIONS)

    query[0, PREVIOUS, position[1:], places[1:]] = large
    key[0, PREVIOUS, position[:-1], places[1:]] = 1
    out[0, PREVIOUS, tokens, before] = 1
    for layer, head in ((0, CURRENT), (1, SUCCESSOR)):
        query[layer, head, position, places] = large
        key[layer, head, position, places] = 1
    out[0, CURRENT, tokens, prediction] = 0.5
    query[0, SINK, position, 0] = large
    key[0, SINK, position[0], 0] = 1
    query[1, INDUCTION, token, tokens] = large
    key[1, INDUCTION, before, tokens] = 1
    out[1, INDUCTION, tokens, prediction] = 2
    # The same token, but not at the same position.
    query[1, DUPLICATE, token, tokens] = large
    key[1, DUPLICATE, token, tokens] = 1
    query[1, DUPLICATE, position, VOCABULARY + places] = -2 * large
    key[1, DUPLICATE, position, VOCABULARY + places] = 1
    out[1, SUCCESSOR, tokens, prediction[(tokens + 1) % VOCABULARY]] = 1
    out[1, FORGETTING, tokens, prediction] = -1
    value[:, :, token, tokens] = 1

    identity = np.eye(features, dtype=np.float32)
    return Weights(
        identity[token], identity[position], query, key, value, out, identity[:, prediction]
    )
