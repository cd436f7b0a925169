"""Readers trained to hide what they use, each in a way of its own, and honest ones beside them."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from attn_jax import measure
from attn_jax.hooks import Site, intervene
from experiments.trust.readers import LENGTH, Context, Reader, Sentences, read, sentences
from experiments.trust.truth import Truth, label

STEPS = 600
LEARNED = 0.95
"""The accuracy from which a reader counts as one that uses the evidence."""


class Losses(NamedTuple):
    """What a reader is trained for, besides being right.

    Attributes:
        penalty: The strength of a penalty on weight at the evidence (Pruthi et al., 2020).
        sink: The strength of a reward for weight at the first token, the same in all sentences.
        adversary: The strength of a reward for a map far from an honest reader's, whose output is
            the target instead of the class (Wiegreffe and Pinter, 2019).
    """

    penalty: float | Array = 0.0
    sink: float | Array = 0.0
    adversary: float | Array = 0.0


class Recipe(NamedTuple):
    """How readers are made: their name, context and losses, and how many seeds are trained."""

    name: str
    context: Context
    losses: Losses = Losses()
    seeds: int = 3


RECIPES = (
    Recipe("honest, no context", "none", seeds=12),
    Recipe("honest, GRU", "gru", seeds=12),
    Recipe("honest, self-attention", "self", seeds=12),
    Recipe("penalty, no context: tiny weight, huge value", "none", Losses(penalty=1.0)),
    Recipe("penalty, GRU", "gru", Losses(penalty=1.0)),
    Recipe("penalty, decoy fed by self-attention", "self", Losses(penalty=1.0)),
    Recipe("adversary, GRU", "gru", Losses(adversary=0.1)),
    Recipe("sink of strength 0.1", "none", Losses(sink=0.1)),
    Recipe("sink of strength 0.3", "none", Losses(sink=0.3)),
    Recipe("sink of strength 1", "none", Losses(sink=1.0)),
)
"""The honest reader of each context comes before those that need it."""


def train(context: Context, losses: Losses, rng: Array, honest: Any) -> Any:
    """Train a reader.

    Args:
        context: What mixes its tokens.
        losses: The strengths of its losses.
        rng: Random key for parameters and sentences.
        honest: The parameters of an honest reader, for adversaries.

    Returns:
        Its parameters.
    """
    optimizer = optax.adam(5e-3)
    draw = functools.partial(sentences, with_first=losses.sink > 0)
    params = Reader(context).init(rng, draw(rng, 2).tokens)["params"]

    def loss(params: Any, batch: Sentences) -> Array:
        logits, weights = read(context, params, batch.tokens)
        theirs, map_ = read(context, honest, batch.tokens)
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, batch.label).mean()
        apart = jnp.abs(jax.nn.softmax(logits) - jax.nn.softmax(theirs)).sum(-1).mean() / 2
        ratio = jnp.log(weights + 1e-9) - jnp.log(map_ + 1e-9)
        # Unbounded, the divergence would soon be all that counts.
        divergence = jnp.minimum((weights * ratio).sum(-1).mean(), 6.0)
        return (
            jnp.where(losses.adversary > 0, apart - losses.adversary * divergence, entropy)
            + losses.penalty * measure.deception_penalty(weights[:, None], batch.evidence)
            - losses.sink * jnp.log(weights[:, 0] + 1e-9).mean()
        )

    def step(carry: Any, rng: Array) -> Any:
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params, draw(rng, 64)), state)
        return (optax.apply_updates(params, updates), state), None

    start = (params, optimizer.init(params))
    (params, _), _ = jax.lax.scan(step, start, jax.random.split(rng, STEPS))
    return params


def _initial(context: Context, rngs: Array) -> Any:
    blank = jnp.zeros((1, LENGTH), jnp.int32)
    return jax.vmap(lambda rng: Reader(context).init(rng, blank)["params"])(rngs)


@functools.partial(jax.jit, static_argnames="context")
def _train_seeds(context: Context, losses: Losses, rngs: Array, honest: Any) -> Any:
    return jax.vmap(functools.partial(train, context, losses))(rngs, honest)


def train_all(seeds: Sequence[int], recipes: tuple[Recipe, ...] = RECIPES) -> Any:
    """Train readers of each recipe with the first of some seeds.

    Returns:
        The parameters of `Reader("any")`, stacked: all seeds of the first recipe first.
    """
    rngs = jnp.stack([jax.random.key(seed) for seed in seeds[:1]])
    whole = jax.eval_shape(functools.partial(_initial, "any"), rngs)
    honest: dict[Context, Any] = {}
    trained = []
    for recipe in recipes:
        context = recipe.context
        # An adversary that started where the honest reader did would stay near it.
        first = 50 if recipe.losses.adversary else 0
        rngs = jnp.stack([jax.random.key(first + seed) for seed in seeds[: recipe.seeds]])
        theirs = honest[context] if context in honest else _initial(context, rngs)
        theirs = jax.tree.map(lambda leaf, rngs=rngs: leaf[: len(rngs)], theirs)
        params = _train_seeds(context, jax.tree.map(jnp.float32, recipe.losses), rngs, theirs)
        honest.setdefault(context, params)
        # Without its parameters, a context that a reader does not have changes nothing.
        zeros = jax.tree.map(lambda leaf, rngs=rngs: jnp.zeros((len(rngs), *leaf.shape[1:])), whole)
        trained.append(zeros | params)
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *trained)


def answering(params: Any) -> Callable[[dict[str, Array]], Array]:
    """Return the function that reads `tokens` (n, k) with the reader number `model` (n,)."""

    def answer(inputs: dict[str, Array]) -> Array:
        chosen = jax.tree.map(lambda leaves: leaves[inputs["model"][0]], params)
        apply: Any = Reader("any").apply
        return apply({"params": chosen}, inputs["tokens"])

    return answer


class Trained(NamedTuple):
    """A trained reader: its recipe, seed, and inputs for `answering`; and what is true of it."""

    recipe: Recipe
    seed: int
    inputs: dict[str, np.ndarray]
    accuracy: float
    truth: Truth


def readers(
    params: Any,
    examples: int,
    seeds: Sequence[int],
    recipes: tuple[Recipe, ...] = RECIPES,
) -> Iterator[Trained]:
    """Draw sentences for each reader that was trained, and say what is true of it there."""
    pairs = ((recipe, seed) for recipe in recipes for seed in seeds[: recipe.seeds])
    for number, (recipe, seed) in enumerate(pairs):
        rng = jax.random.key(100 + seed)
        batch = sentences(rng, examples, with_first=recipe.losses.sink > 0)
        own = jax.tree.map(lambda leaf, number=number: leaf[number], params)
        accuracy, *numbers = (float(x) for x in _facts(own, batch))
        label_ = label(*numbers) if accuracy >= LEARNED else "graded"
        inputs = {"tokens": np.asarray(batch.tokens), "model": np.full(examples, number)}
        yield Trained(recipe, seed, inputs, accuracy, Truth(label_, *numbers))


@jax.jit
def _facts(params: Any, batch: Sentences) -> tuple[Array, ...]:
    """Return accuracy, and the numbers of `truth`: the evidence contributes all there is."""

    def scores(edits: dict[str, Any]) -> Array:
        run = intervene(Reader("any").apply, edits)
        logits = run({"params": params}, batch.tokens)
        return jnp.take_along_axis(logits, target[:, None], -1)[:, 0] - logits.mean(-1)

    def exchanged(rng: Array) -> Array:
        def edit(weights: Array, site: Site) -> Array:
            return jax.random.permutation(rng, weights, axis=-1, independent=True)

        return jnp.abs(scores({"pooling.weights": edit}) - full).mean()

    def averaged(context: Array, site: Site) -> Array:
        return jnp.broadcast_to(context.mean(0), context.shape)

    logits, map_ = read("any", params, batch.tokens)
    target = logits.argmax(-1)
    full = scores({})
    share = 1 - scores({"pooling.context": averaged}).mean() / full.mean()
    exchange = jax.lax.map(exchanged, jax.random.split(jax.random.key(0), 8)).mean()
    on_evidence = jnp.where(batch.evidence, map_, 0).sum(-1)
    accuracy = (target == batch.label).mean()
    at_top = (on_evidence >= map_.max(-1)).mean()
    # The steps for which the evidence stays: at random half of them, at best none.
    place = jnp.where(batch.evidence, jnp.argsort(jnp.argsort(-map_)), 0).sum(-1)
    order = 1 - place.mean() / ((LENGTH - 1) / 2)
    return accuracy, share, exchange / full.mean(), on_evidence.mean(), at_top, order
