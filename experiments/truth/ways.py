"""The ways of asking a model where the evidence is: each gives a number for every key."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax import measure
from attn_jax.hooks import capture
from attn_jax.measure.outputs import class_logits
from experiments.truth.evidence import Evidence

FLOWS = 16
"""The number of examples for attention flow, which takes one maximum flow for every key."""


def maps(evidence: Evidence) -> dict[str, np.ndarray]:
    """Return the map of each way, (n, k), by name; flow has fewer examples.

    Ways that a model does not have, such as rollout without layers of self-attention, are left out.
    """
    results = {}
    for name, way in WAYS.items():
        result = way(evidence)
        if result is not None:
            results[name] = np.where(evidence.exists[: len(result)], np.asarray(result), 0)
    return results


def raw_attention(evidence: Evidence) -> jax.Array:
    """Return the weights, the mean over heads and hook points."""
    rows = [_read(weights, evidence) for weights in _captured(evidence, evidence.patterns)]
    return jnp.stack(rows).mean(0)


def rollout(evidence: Evidence) -> jax.Array | None:
    """Return attention rollout."""
    if not evidence.layers:
        return None
    rolled = measure.rollout(_captured(evidence, evidence.layers))
    above = _above(evidence)
    if not above:
        return _read(rolled[:, None], evidence)
    rows = [_read(weights, evidence) for weights in _captured(evidence, above)]
    return jnp.einsum("nk,nkt->nt", jnp.stack(rows).mean(0), rolled, precision="highest")


def flow(evidence: Evidence) -> np.ndarray | None:
    """Return attention flow from the query that is read."""
    if not evidence.layers or evidence.query is None or _above(evidence):
        return None
    few = evidence.first(FLOWS)
    layers = [np.asarray(each) for each in _captured(few, evidence.layers)]
    queries = np.broadcast_to(np.asarray(few.query), len(few.target))
    flows = [
        measure.flow([layer[number] for layer in layers], queries=[int(query)])[0]
        for number, query in enumerate(queries)
    ]
    return np.stack(flows)


def gradient_times_attention(evidence: Evidence) -> jax.Array:
    """Return attention times gradient, summed over queries, heads and layers."""
    return measure.gradient_attribution(
        _unsaturated(evidence),
        evidence.inputs,
        jnp.asarray(evidence.target),
        attention=evidence.patterns,
        mask=jnp.asarray(evidence.exists),
        renormalize=False,
    )


def chefer(evidence: Evidence) -> jax.Array:
    """Return Chefer's relevance: through layers, or of the attention alone if there are none."""
    above = _above(evidence)
    read = [
        _read(measure.gradient_attention(weights, gradients)[:, None], evidence)
        for weights, gradients in zip(*_gradients(evidence, above), strict=True)
    ]
    if not evidence.layers:
        return jnp.stack(read).mean(0)
    relevance = measure.self_relevance(*_gradients(evidence, evidence.layers))
    if not above:
        return _read(relevance[:, None], evidence)
    return jnp.einsum("nk,nkt->nt", jnp.stack(read).mean(0), relevance, precision="highest")


def integrated_gradients(evidence: Evidence) -> jax.Array:
    """Return gradients integrated from no attention to the model's own."""
    return measure.integrated_gradients(
        _unsaturated(evidence),
        evidence.inputs,
        jnp.asarray(evidence.target),
        attention=evidence.patterns,
        mask=jnp.asarray(evidence.exists),
    )


def leave_one_out(evidence: Evidence) -> jax.Array:
    """Return the fall of the probability without the attention to each key."""
    fn, target = _unsaturated(evidence), jnp.asarray(evidence.target)
    full = jnp.take_along_axis(jax.nn.softmax(fn(evidence.inputs)), target[:, None], 1)[:, 0]
    return measure.leave_one_out(
        fn,
        evidence.inputs,
        target,
        full,
        attention=evidence.patterns,
        mask=jnp.asarray(evidence.exists),
    )


WAYS: Mapping[str, Callable[[Evidence], Any]] = {
    "raw attention": raw_attention,
    "rollout": rollout,
    "flow": flow,
    "gradient × attention": gradient_times_attention,
    "Chefer's relevance": chefer,
    "integrated gradients": integrated_gradients,
    "leave-one-out": leave_one_out,
}


def _above(evidence: Evidence) -> tuple[str, ...]:
    """Return the globs of attention that is none of the layers', but reads the last of them."""
    return tuple(each for each in evidence.patterns if each not in evidence.layers)


def _captured(evidence: Evidence, patterns: Any) -> list[jax.Array]:
    """Return the weights of all matching hook points, each (n, h, q, k)."""
    run = jax.jit(lambda inputs: capture(evidence.fn, list(patterns))(inputs)[1])
    return _each(run(evidence.inputs), len(evidence.target))


def _each(named: Mapping[str, jax.Array], examples: int) -> list[jax.Array]:
    """Return one array (n, h, q, k) for every hook point and every turn of the loops around it."""
    arrays = []
    for array in named.values():
        inner = array.shape[array.shape.index(examples) :]
        heads = (*inner[:1], *(1,) * (4 - len(inner)), *inner[1:])
        arrays += list(array.reshape(-1, *heads))
    return arrays


def _read(weights: jax.Array, evidence: Evidence) -> jax.Array:
    """Return the rows of the queries that are read, (n, k), the mean over the heads."""
    rows = weights.astype(jnp.float32).mean(1)
    if evidence.query is None or rows.shape[1] == 1:
        return rows.mean(1)
    queries = jnp.broadcast_to(jnp.asarray(evidence.query), len(rows))
    return jnp.take_along_axis(rows, queries[:, None, None], 1)[:, 0]


def _gradients(evidence: Evidence, patterns: Any) -> tuple[list[jax.Array], list[jax.Array]]:
    """Return weights, and the gradients of the target's centered logit with respect to them."""
    if not patterns:
        return [], []

    def score(inputs: Any) -> jax.Array:
        logits = class_logits(evidence.fn(inputs))
        chosen = jnp.take_along_axis(logits, jnp.asarray(evidence.target)[:, None], 1)
        return (chosen[:, 0] - logits.mean(-1)).sum()

    pair = jax.jit(measure.attention_gradients(score, list(patterns)))(evidence.inputs)
    weights, gradients = (_each(named, len(evidence.target)) for named in pair)
    return weights, gradients


def _unsaturated(evidence: Evidence) -> Callable[[Any], jax.Array]:
    """Return the model with logits scaled to a median margin of one.

    Probabilities of a confident model are exactly one, and their gradients zero.
    """
    fn = jax.jit(lambda inputs: class_logits(evidence.fn(inputs)))
    logits = np.asarray(fn(evidence.inputs))
    right = np.take_along_axis(logits, np.asarray(evidence.target)[:, None], 1)[:, 0]
    others = logits.copy()
    np.put_along_axis(others, np.asarray(evidence.target)[:, None], -np.inf, 1)
    scale = max(float(np.median(right - others.max(-1))), 1.0)
    return lambda inputs: class_logits(evidence.fn(inputs)) / scale
