"""Edge attribution: which of a model's parts speak to which others, to first order."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from attn_jax.circuits.checks import check_same_shapes, scored
from attn_jax.circuits.patching import Direction, check_direction
from attn_jax.circuits.sites import Metric, Model, find_places
from attn_jax.hooks import activation_grads, capture, intervene, patch
from attn_jax.hooks.freed import run_freed


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class EdgeScores:
    """A number for each edge from a part of a model to a later one.

    Attributes:
        values: The numbers, with the axes sender and receiver; NaN where the receiver comes first.
        senders: The names of the senders, such as `embedding`, `layers.0.heads.3`, `layers.0.mlp`.
        receivers: The names of the receivers, such as `layers.1.heads.2.query`, `layers.1.mlp`,
            `logits`.
    """

    values: Float[Array, "s r"]
    senders: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    receivers: tuple[str, ...] = dataclasses.field(metadata={"static": True})

    def largest(self, count: int = 10) -> list[tuple[str, str, float]]:
        """Return the edges of the largest size, largest first, as sender, receiver and number.

        Args:
            count: How many.
        """
        values = np.asarray(self.values)
        sizes = np.where(np.isnan(values), -1.0, np.abs(values))
        order = np.argsort(-sizes, axis=None, kind="stable")[: min(count, int((sizes >= 0).sum()))]
        places = zip(*np.unravel_index(order, values.shape), strict=True)
        return [(self.senders[s], self.receivers[r], float(values[s, r])) for s, r in places]


def edge_attribution(
    fn: Model,
    clean: Any,
    corrupted: Any,
    metric: Metric,
    *,
    direction: Direction = "noising",
    steps: int | None = None,
) -> EdgeScores:
    r"""Estimate what changes if one part hears the other run of another part, for every edge.

    An edge's number is :math:`(a'_s - a_s) \cdot \partial m / \partial x_r`: how far the output of
    the sender differs between the runs, times the gradient of the metric by what the receiver reads
    of the residual stream. Senders are the embedding, heads and feed-forward networks; receivers
    are heads, by their queries, keys and values, feed-forward networks and the logits. It takes two
    runs, a gradient, and the gradients of each layer's own part.

    Args:
        fn: A model whose parts read from and add to a residual stream, such as GPT-2 and the Llama
            line of `attn_jax.pretrained`, with their hook points: `embedding`, and in each layer
            `residual`, `attention.query`, `key`, `value` and `head_output`, `residual_mid`, `mlp`
            and `residual_out`.
        clean: The inputs for which it does what is to be explained.
        corrupted: Inputs of the same shapes for which it does not.
        metric: A function from its output to a scalar.
        direction: `noising` estimates the clean run with edges of the corrupted one; `denoising`
            the reverse.
        steps: The number of embeddings between the two runs, at which the gradient is averaged
            (EAP with integrated gradients); only that of the patched run if None.

    Returns:
        The estimated change of the metric for each edge.

    Raises:
        HookError: If the model lacks hook points.
        ValueError: If the inputs differ in shape, the metric is no scalar, or the outputs of the
            parts do not sum to the residual stream.

    References:
        Syed, Rager and Conmy, "Attribution Patching Outperforms Automated Circuit Discovery", 2023,
        https://arxiv.org/abs/2310.10348; Hanna, Pezzelle and Belinkov, "Have Faith in
        Faithfulness", 2024, https://arxiv.org/abs/2403.17806.
    """
    check_same_shapes(clean, corrupted)
    check_direction(direction)
    if steps is not None and steps < 1:
        raise ValueError(f"steps={steps}; at least one embedding is needed.")
    sizes = _head_counts(fn, clean)
    layers = list(dict.fromkeys(name.partition(".attention.")[0] for name in sizes))
    end = f"{layers[-1]}.residual_out"
    find_places(fn, clean, end, use=_USE)

    def scores(clean: Any, corrupted: Any) -> tuple[Array, Array]:
        base, donor = (clean, corrupted) if direction == "noising" else (corrupted, clean)
        names = ["embedding", *(f"{layer}.{part}" for layer in layers for part in _OUTPUTS), end]
        before, after = (capture(fn, names)(inputs)[1] for inputs in (base, donor))
        changes = {name: after[name] - before[name] for name in names}
        sent = _sent(changes, layers)
        error = jnp.abs(sent.sum(0) - changes[end]).max() / jnp.abs(sent).max()
        start, change = before["embedding"], changes["embedding"]

        def slopes_at(share: Array) -> Array:
            model = intervene(fn, {"embedding": patch(start + share * change)})
            return _slopes(model, layers, end, metric, base)

        shares = jnp.zeros(1) if steps is None else jnp.arange(1, steps + 1) / steps
        return jnp.einsum("s...,r...->sr", sent, _mean(slopes_at, shares)), error

    values, error = run_freed(scores, clean, corrupted)
    _check_sum(error)
    senders, receivers = _sender_names(layers, sizes), _receiver_names(layers, sizes)
    is_forward = np.array([[s[0] < r[0] for r in receivers] for s in senders])
    return EdgeScores(
        jnp.where(is_forward, values, jnp.nan),
        tuple(name for _, name in senders),
        tuple(name for _, name in receivers),
    )


_USE = "edge_attribution"
_READ = ("query", "key", "value")
_OUTPUTS = ("attention.head_output", "mlp")


def _head_counts(fn: Model, inputs: Any) -> dict[str, int]:
    """Return the number of heads at each hook point of queries, keys, values and head outputs."""
    counts = {}
    for pattern in (*(f"*.attention.{part}" for part in _READ), "*.attention.head_output"):
        for place in find_places(fn, inputs, pattern, use=_USE):
            counts |= dict.fromkeys(place.names, place.size("head"))
    for pattern in ("embedding", "*.residual", "*.residual_mid", "*.mlp"):
        find_places(fn, inputs, pattern, use=_USE)
    return counts


def _sent(changes: dict[str, Array], layers: Sequence[str]) -> Float[Array, "s n t f"]:
    """Return the changes of all senders, in the order of their names."""
    parts = [changes["embedding"][None]]
    for layer in layers:
        parts.append(jnp.moveaxis(changes[f"{layer}.attention.head_output"], -2, 0))
        parts.append(changes[f"{layer}.mlp"][None])
    return jnp.concatenate(parts)


def _slopes(
    fn: Model, layers: Sequence[str], end: str, metric: Metric, inputs: Any
) -> Float[Array, "r n t f"]:
    """Return the gradients by what each receiver reads, in the order of their names."""
    streams = [f"{layer}.{name}" for layer in layers for name in ("residual", "residual_mid")]
    heads = {part: [f"{layer}.attention.{part}" for layer in layers] for part in _READ}
    networks = [f"{layer}.mlp" for layer in layers]
    targets = [*(name for names in heads.values() for name in names), *networks]
    gradients = activation_grads(lambda x: scored(metric, x)(fn), [*targets, end])(inputs)
    _, values = capture(fn, streams)(inputs)

    def read(values: dict[str, Array]) -> dict[str, Array]:
        # With all streams given, each part depends on the stream that it reads and on no other.
        return capture(intervene(fn, dict.fromkeys(streams, patch(values))), targets)(inputs)[1]

    outputs, pull = jax.vjp(read, values)
    zeros = jax.tree.map(jnp.zeros_like, outputs)
    by_head = {part: _pull_heads(pull, zeros, gradients, names) for part, names in heads.items()}
    (by_network,) = pull(zeros | {name: gradients[name] for name in networks})
    parts = []
    for layer in layers:
        for part in _READ:
            count = gradients[f"{layer}.attention.{part}"].shape[-2]
            parts.append(by_head[part][f"{layer}.residual"][:count])
        parts.append(by_network[f"{layer}.residual_mid"][None])
    return jnp.concatenate([*parts, gradients[end][None]])


def _pull_heads(
    pull: Callable[[dict[str, Array]], tuple[dict[str, Array]]],
    zeros: dict[str, Array],
    gradients: dict[str, Array],
    names: Sequence[str],
) -> dict[str, Float[Array, "h n t f"]]:
    """Return the gradients by each stream of what one head after the other reads, in all layers."""

    def pull_one(head: Array) -> dict[str, Array]:
        own = {name: _only_head(gradients[name], head) for name in names}
        return pull(zeros | own)[0]

    return jax.vmap(pull_one)(jnp.arange(max(gradients[name].shape[-2] for name in names)))


def _only_head(values: Float[Array, "n t h d"], head: Array) -> Float[Array, "n t h d"]:
    is_head = jnp.arange(values.shape[-2]) == head
    return jnp.where(is_head[None, None, :, None], values, 0)


def _mean(fn: Callable[[Array], Array], xs: Array) -> Array:
    """Return the mean of a function, which is held for one element at a time."""
    zeros = jnp.zeros_like(jax.eval_shape(fn, xs[0]))
    total, _ = jax.lax.scan(lambda total, x: (total + fn(x), None), zeros, xs)
    return total / len(xs)


def _check_sum(error: Array) -> None:
    if not isinstance(error, Tracer) and error > 1e-3:
        raise ValueError(
            "the outputs of heads and feed-forward networks do not sum to the last residual "
            f"stream: they miss {float(error):.2g} of the largest change. Edge attribution is for "
            "models whose parts add to one stream that is not normalized on its way, as in GPT-2."
        )


Named = list[tuple[tuple[int, int], str]]
"""Names of parts, each after its place in the model: the layer, and attention 0 or network 1."""


def _sender_names(layers: Sequence[str], sizes: dict[str, int]) -> Named:
    names: Named = [((-1, 1), "embedding")]
    for i, layer in enumerate(layers):
        heads = range(sizes[f"{layer}.attention.head_output"])
        names += [((i, 0), f"{layer}.heads.{head}") for head in heads]
        names.append(((i, 1), f"{layer}.mlp"))
    return names


def _receiver_names(layers: Sequence[str], sizes: dict[str, int]) -> Named:
    names: Named = []
    for i, layer in enumerate(layers):
        names += [
            ((i, 0), f"{layer}.heads.{head}.{part}")
            for part in _READ
            for head in range(sizes[f"{layer}.attention.{part}"])
        ]
        names.append(((i, 1), f"{layer}.mlp"))
    return [*names, ((len(layers), 0), "logits")]
