"""NNX: Flax's attention in two blocks, merged inside, scanned, and decoding with a cache."""

import jax
import jax.numpy as jnp
from flax import nnx

from attn_jax.interop import named
from libraries.case import Case, Library, attend, part

HEADS, FEATURES, LAYERS = 3, 12, 2
X = jax.random.normal(jax.random.key(0), (2, 5, FEATURES))
NAMES = [f"blocks.{i}.attn.weights" for i in range(LAYERS)]
CAUSAL = jnp.where(jnp.tril(jnp.ones((5, 5), bool)), 0.0, -jnp.inf)


class Block(nnx.Module):
    def __init__(self, rngs):
        init = nnx.initializers.variance_scaling(3.0, "fan_in", "normal")
        self.attn = nnx.MultiHeadAttention(
            HEADS, FEATURES, kernel_init=init, decode=False, rngs=rngs
        )

    def __call__(self, x):
        return x + self.attn(x)


class Transformer(nnx.Module):
    def __init__(self):
        self.blocks = nnx.List([Block(nnx.Rngs(i)) for i in range(LAYERS)])

    def __call__(self, x):
        for block in self.blocks:
            x = block(x)
        return x


class Scanned(nnx.Module):
    def __init__(self):
        @nnx.split_rngs(splits=LAYERS)
        @nnx.vmap
        def stacked(rngs):
            return Block(rngs)

        self.blocks = stacked(nnx.Rngs(0))

    def __call__(self, x):
        @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
        def step(x, block):
            return block(x)

        return step(x, self.blocks)


def by_hand(attentions, scale, edited, bias=0.0):
    """Return the output, and the weights of each layer, from the parameters alone."""
    x, maps = X, []
    for i, attn in enumerate(attentions):
        query, key, value = (
            jnp.einsum("btf,fhd->bthd", x, attn[name]["kernel"][...]) + attn[name]["bias"][...]
            for name in ("query", "key", "value")
        )
        weights = attend(query, key, bias)
        context = jnp.einsum("bhqk,bkhd->bqhd", weights, value)
        context *= scale[:, None] if i in edited else 1.0
        out = jnp.einsum("bqhd,hdf->bqf", context, attn["out"]["kernel"][...])
        x = x + out + attn["out"]["bias"][...]
        maps.append(weights)
    return x, maps


def parameters(module):
    return nnx.to_pure_dict(nnx.state(module, nnx.Param))


def layers():
    model = Transformer()
    attentions = [parameters(block.attn) for block in model.blocks]
    truth = dict(zip(NAMES, by_hand(attentions, jnp.ones(HEADS), ())[1], strict=True))

    def scaled(scale):
        return by_hand(attentions, scale, (0,))[0]

    return Case(named(model, model), (X,), truth, NAMES[0], scaled)


def merged():
    """Build the usual pure function: the state is an argument, and merged inside."""
    case, model = layers(), Transformer()
    graph, state = nnx.split(model)
    fn = named(lambda state, x: nnx.merge(graph, state)(x), model)
    return Case(fn, (state, X), case.truth, case.site, case.scaled)


def scanned():
    model = Scanned()
    graph, state = nnx.split(model)
    stack = parameters(model.blocks.attn)
    attentions = [part(stack, i) for i in range(LAYERS)]
    name = "blocks.*.attn.weights"
    truth = {name: jnp.stack(by_hand(attentions, jnp.ones(HEADS), ())[1])}

    def scaled(scale):
        return by_hand(attentions, scale, range(LAYERS))[0]

    fn = named(lambda state, x: nnx.merge(graph, state)(x), model)
    return Case(fn, (state, X), truth, name, scaled)


def cached():
    """Decode step by step with a cache: what causal attention over all tokens gives."""
    model = Transformer()
    attentions = [parameters(block.attn) for block in model.blocks]
    for block in model.blocks:
        block.attn.decode = True
        block.attn.init_cache(X.shape)
    graph, state = nnx.split(model)

    def fn(state, x):
        def step(state, token):
            model = nnx.merge(graph, state)
            out = model(token[:, None])
            return nnx.state(model), out[:, 0]

        return jax.lax.scan(step, state, x.swapaxes(0, 1))[1].swapaxes(0, 1)

    names = ["blocks.0.*.attn.weights", "blocks.1.*.attn.weights"]
    maps = by_hand(attentions, jnp.ones(HEADS), (), CAUSAL)[1]
    # One query at a step: (q, b, h, 1, k).
    maps = [weights.transpose(2, 0, 1, 3)[:, :, :, None] for weights in maps]

    def scaled(scale):
        return by_hand(attentions, scale, (1,), CAUSAL)[0]

    truth = dict(zip(names, maps, strict=True))
    return Case(named(fn, model), (state, X), truth, names[1], scaled)


LIBRARY = Library(
    name="NNX",
    package="flax",
    lines="""
fn = tap_attention(named(lambda state, x: nnx.merge(graph, state)(x), model))
out, maps = capture(fn, "*.weights")(state, x)
out = intervene(fn, {"blocks.1.*.weights": patch(0.0, heads=[2])})(state, x)
""",
    models={"layers": layers, "nnx.merge": merged, "nnx.scan": scanned, "cache": cached},
)
