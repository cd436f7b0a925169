"""A small transformer as a plain function with hook points, and its twin in float64 NumPy.

The twin takes `edit(name, value)`, called at each hook point, and `read(name, stream)`, called with
the residual stream that a part reads, so that every verb can be done by hand.
"""

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax import hooks

VOCABULARY, FEATURES, HEADS, SIZE, LAYERS = 11, 8, 3, 4, 2
_rng = np.random.default_rng(0)


def _matrix(*shape):
    return _rng.normal(size=shape) * 0.6


EMBEDDING, UNEMBEDDING = _matrix(VOCABULARY, FEATURES), _matrix(FEATURES, VOCABULARY)
WEIGHTS = {
    "query": _matrix(LAYERS, FEATURES, HEADS, SIZE),
    "key": _matrix(LAYERS, FEATURES, HEADS, SIZE),
    "value": _matrix(LAYERS, FEATURES, HEADS, SIZE),
    "out": _matrix(LAYERS, HEADS, SIZE, FEATURES),
    "mlp_in": _matrix(LAYERS, FEATURES, 6),
    "mlp_out": _matrix(LAYERS, 6, FEATURES),
}
CLEAN = np.array([[1, 2, 3, 4, 5], [6, 7, 3, 8, 2]])
CORRUPTED = np.array([[1, 9, 3, 4, 5], [6, 10, 3, 8, 2]])


def _layer(x, weights):
    tap = hooks.tap
    x = tap("residual", x)
    with jax.named_scope("attention"):
        query, key, value = (
            tap(name, jnp.einsum("btf,fhd->bthd", x, weights[name]))
            for name in ("query", "key", "value")
        )
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / np.sqrt(SIZE)
        scores = jnp.where(np.tri(x.shape[1], dtype=bool)[None, None], scores, -jnp.inf)
        context = tap(
            "context", jnp.einsum("bhqk,bkhd->bqhd", tap("weights", jax.nn.softmax(scores)), value)
        )
        heads = tap("head_output", jnp.einsum("bthd,hdf->bthf", context, weights["out"]))
        output = tap("output", heads.sum(-2))
    x = tap("residual_mid", x + output)
    hidden = jnp.tanh(x @ weights["mlp_in"]) @ weights["mlp_out"]
    return tap("residual_out", x + tap("mlp", hidden))


def model(tokens):
    """Return the logits of a two-layer transformer, `(batch, tokens, vocabulary)`."""
    weights = jax.tree.map(jnp.float32, WEIGHTS)
    x = hooks.tap("embedding", jnp.float32(EMBEDDING)[tokens])
    for i in range(LAYERS):
        with jax.named_scope("layers"), jax.named_scope(str(i)):
            x = _layer(x, {name: each[i] for name, each in weights.items()})
    return x @ jnp.float32(UNEMBEDDING)


def scanned(tokens):
    """Return the same of a scanned stack."""

    def step(x, weights):
        with jax.named_scope("layers"):
            return _layer(x, weights), None

    x = hooks.tap("embedding", jnp.float32(EMBEDDING)[tokens])
    x, _ = jax.lax.scan(step, x, jax.tree.map(jnp.float32, WEIGHTS))
    return x @ jnp.float32(UNEMBEDDING)


def twin(tokens, edit=lambda name, value: value, read=lambda name, stream: stream):
    """Return the logits in float64, by hand."""
    x = edit("embedding", EMBEDDING[tokens])
    for i in range(LAYERS):
        x = _twin_layer(x, i, edit, read)
    return read("logits", x) @ UNEMBEDDING


def _twin_layer(x, i, edit, read):
    layer, w = f"layers.{i}", {name: each[i] for name, each in WEIGHTS.items()}
    x = edit(f"{layer}.residual", x)
    made = {}
    for name in ("query", "key", "value"):
        heads = [read(f"{layer}.heads.{h}.{name}", x) @ w[name][:, h] for h in range(HEADS)]
        made[name] = edit(f"{layer}.attention.{name}", np.stack(heads, 2))
    scores = np.einsum("bqhd,bkhd->bhqk", made["query"], made["key"]) / np.sqrt(SIZE)
    scores = np.where(np.tri(x.shape[1], dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights = edit(f"{layer}.attention.weights", weights / weights.sum(-1, keepdims=True))
    context = edit(
        f"{layer}.attention.context", np.einsum("bhqk,bkhd->bqhd", weights, made["value"])
    )
    heads = edit(f"{layer}.attention.head_output", np.einsum("bthd,hdf->bthf", context, w["out"]))
    mid = edit(f"{layer}.residual_mid", x + heads.sum(2))
    hidden = np.tanh(read(f"{layer}.mlp", mid) @ w["mlp_in"]) @ w["mlp_out"]
    return edit(f"{layer}.residual_out", mid + edit(f"{layer}.mlp", hidden))


def values_of(tokens):
    """Return all values of the twin by hook point."""
    values = {}

    def note(name, value):
        values[name] = value
        return value

    twin(tokens, note)
    return values


def difference(logits, position=-1):
    """Return the logit of token 4 minus that of token 6, a mean over the texts, by hand."""
    rows = np.asarray(logits)[:, position]
    return (rows[:, 4] - rows[:, 6]).mean()
