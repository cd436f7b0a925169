"""Lenses: what the residual stream of each layer already predicts."""

import itertools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from attn_jax._extras import require
from attn_jax.circuits.frozen import all_layers, point_names, read, stacked
from attn_jax.circuits.scores import Scores
from attn_jax.circuits.sites import Model, Pattern, Place, find_places, names_of
from attn_jax.hooks import intervene
from attn_jax.hooks.freed import prepare_freed, run_freed

RESIDUALS = "*.residual_out"


class TunedLens(NamedTuple):
    """An affine map for each layer, from its residual stream to that of the last layer.

    Attributes:
        weights: What is added to the identity, `(layers, features, features)`.
        biases: `(layers, features)`.
        losses: The mean divergence of each layer's prediction from the model's own in each step of
            training, in nats, `(steps, layers)`.
    """

    weights: Float[Array, "layers f f"]
    biases: Float[Array, "layers f"]
    losses: Float[Array, "steps layers"]

    def __call__(self, residuals: Float[Array, "layers *b f"]) -> Float[Array, "layers *b f"]:
        """Map the residual stream of each layer."""
        return jax.vmap(_translate)(self.weights, self.biases, residuals)


def _translate(weights: Array, bias: Array, residual: Array) -> Array:
    return residual + residual @ weights + jnp.broadcast_to(bias, residual.shape)


def logit_lens(
    fn: Model,
    inputs: Any,
    *,
    residuals: Pattern = RESIDUALS,
    lens: TunedLens | None = None,
    reduce: Callable[[Any], Any] | None = None,
) -> Scores:
    """Return what the model would predict if each layer were the last.

    The part of the model after the last residual stream, usually a normalization and the output
    projection, is applied to the residual stream of every layer. That part is the model itself with
    its last residual stream replaced, so it need not be given.

    Args:
        fn: The model.
        inputs: Its inputs.
        residuals: The hook points of the residual stream after each layer, all of one shape.
        lens: A lens trained by :func:`tuned_lens`, through which the residual streams are read.
        reduce: A function of the output to what is wanted of it, such as
            `lambda logits: logits.argmax(-1)`, so that the logits of all layers need no memory at
            the same time. None keeps the output.

    Returns:
        The predictions with the axes `layer`, then those of the output: `batch`, `position` and
        `vocabulary`.

    Raises:
        HookError: If the model has no such hook points, or their shapes differ.

    Example:
        >>> from attn_jax.circuits import logit_lens
        >>> from attn_jax.hooks import tap
        >>> def fn(x):
        ...     for i in range(2):
        ...         x = tap(f"layers.{i}.residual_out", x + 1)
        ...     return 10 * x
        >>> logit_lens(fn, jnp.zeros((1, 1, 1))).values[:, 0, 0, 0]
        Array([10., 20.], dtype=float32)

    References:
        nostalgebraist, "interpreting GPT: the logit lens", 2020.
        https://www.lesswrong.com/posts/AcKRB8wDpdaN6v6ru/interpreting-gpt-the-logit-lens
    """
    places = find_places(fn, inputs, residuals, use="logit_lens")

    def look(inputs: Any, lens: TunedLens | None) -> Array:
        streams = stacked(all_layers(places, read(fn, point_names(places), inputs)[1]))
        streams = streams if lens is None else lens(streams)
        after = rest(fn, places, inputs)
        return jax.lax.map(lambda x: after(x) if reduce is None else reduce(after(x)), streams)

    values = run_freed(look, inputs, lens)
    rank = len(places[-1].point.shape)  # as `(*b, tokens, features)`, so `(*b, tokens, vocabulary)`
    axes = ("batch", "position", "vocabulary")[-rank:][: values.ndim - 1]
    return Scores(values, ("layer", *axes), names_of(places))


def rest(fn: Model, places: list[Place], inputs: Any) -> Callable[[Array], Any]:
    """Return the part of the model after the last of some places, as a function of its value."""
    last = places[-1].names[-1]
    return lambda value: intervene(fn, {last: lambda _, site: value})(inputs)


def tuned_lens(
    fn: Model,
    batches: Iterable[Any],
    *,
    residuals: Pattern = RESIDUALS,
    optimizer: Any = None,
) -> TunedLens:
    """Train an affine map for each layer, with which it predicts as nearly as the model does.

    Each map starts as the identity, so that the lens starts as :func:`logit_lens`. The loss is the
    divergence KL(model, lens), a mean over all positions. One step is one compiled program for all
    layers.

    Args:
        fn: The model, which returns logits.
        batches: Inputs, all of the same shapes; there is one step for each.
        residuals: The hook points of the residual stream after each layer.
        optimizer: Of optax; `optax.adam(1e-3)` if None.

    Returns:
        The lens, for :func:`logit_lens`.

    Raises:
        HookError: If the model has no such hook points, or their shapes differ.
        ValueError: If there are no batches, or their shapes differ.

    References:
        Belrose et al., "Eliciting Latent Predictions from Transformers with the Tuned Lens", 2023.
        https://arxiv.org/abs/2303.08112
    """
    require("optax", extra="train")
    import optax

    optimizer = optimizer or optax.adam(1e-3)
    batches = iter(batches)
    first = next(batches, None)
    if first is None:
        raise ValueError("batches is empty; a lens is trained for one step on each batch.")
    places = find_places(fn, first, residuals, use="tuned_lens")
    count, features = sum(len(p.names) for p in places), places[0].point.shape[-1]
    maps = (jnp.zeros((count, features, features)), jnp.zeros((count, features)))

    def step(maps: tuple[Array, Array], state: Any, inputs: Any) -> tuple[Any, Any, Array]:
        gradients, losses = jax.grad(_losses, has_aux=True)(maps, fn, places, inputs)
        updates, state = optimizer.update(gradients, state, maps)
        return optax.apply_updates(maps, updates), state, losses

    state, history, run = optimizer.init(maps), [], None
    for inputs in itertools.chain([first], batches):
        _check_shapes(first, inputs)
        run = run or prepare_freed(step, maps, state, inputs)
        maps, state, losses = run(maps, state, inputs)
        history.append(losses)
    return TunedLens(maps[0], maps[1], jnp.stack(history))


def _losses(
    maps: tuple[Array, Array], fn: Model, places: list[Place], inputs: Any
) -> tuple[Array, Array]:
    """Return the sum of the losses of all layers, and each of them."""
    out, values = read(fn, point_names(places), inputs)
    expected, after = jax.nn.log_softmax(out), rest(fn, places, inputs)

    # The logits of each layer are computed again for the gradient, as all of them take much memory.
    @jax.checkpoint
    def loss(layer: tuple[Array, Array, Array]) -> Array:
        logs = jax.nn.log_softmax(after(_translate(*layer)))
        return (jnp.exp(expected) * (expected - logs)).sum(-1).mean()

    losses = jax.lax.map(loss, (*maps, stacked(all_layers(places, values))))
    return losses.sum(), losses


def _check_shapes(first: Any, inputs: Any) -> None:
    shapes = [jax.tree.map(jnp.shape, each) for each in (first, inputs)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"the first batch has the shapes {shapes[0]} and a later one {shapes[1]}; all batches "
            "need the same: cut or fill up the texts."
        )
