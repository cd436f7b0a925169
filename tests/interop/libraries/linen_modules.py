"""Linen: Flax's own attention in layers that are unrolled, checkpointed and scanned."""

import jax
import jax.numpy as jnp
from flax import linen

from libraries.case import Case, Library, attend, part

HEADS, FEATURES, LAYERS = 3, 12, 2
X = jax.random.normal(jax.random.key(0), (2, 5, FEATURES))
INIT = linen.initializers.variance_scaling(3.0, "fan_in", "normal")


class Layer(linen.Module):
    @linen.compact
    def __call__(self, x, _=None):
        attention = linen.MultiHeadDotProductAttention(HEADS, kernel_init=INIT, name="attention")
        return x + attention(x), None


class Model(linen.Module):
    checkpointed: bool = False
    scanned: bool = False

    @linen.compact
    def __call__(self, x):
        layer = linen.remat(Layer) if self.checkpointed else Layer
        if self.scanned:
            axes, split = {"params": 0}, {"params": True}
            stack = linen.scan(layer, variable_axes=axes, split_rngs=split, length=LAYERS)
            return stack(name="layers")(x, None)[0]
        for i in range(LAYERS):
            x, _ = layer(name=f"layers_{i}")(x)
        return x


def by_hand(attentions, scale, edited):
    """Return the output, and the weights of each layer, from the parameters alone."""
    x, maps = X, []
    for i, attn in enumerate(attentions):
        query, key, value = (
            jnp.einsum("btf,fhd->bthd", x, attn[name]["kernel"]) + attn[name]["bias"]
            for name in ("query", "key", "value")
        )
        weights = attend(query, key)
        context = jnp.einsum("bhqk,bkhd->bqhd", weights, value)
        context *= scale[:, None] if i in edited else 1.0
        x = x + jnp.einsum("bqhd,hdf->bqf", context, attn["out"]["kernel"]) + attn["out"]["bias"]
        maps.append(weights)
    return x, maps


def unrolled(checkpointed=False):
    model = Model(checkpointed=checkpointed)
    variables = model.init(jax.random.key(1), X)
    attentions = [variables["params"][f"layers_{i}"]["attention"] for i in range(LAYERS)]
    names = [f"layers.{i}.attention.weights" for i in range(LAYERS)]
    truth = dict(zip(names, by_hand(attentions, jnp.ones(HEADS), ())[1], strict=True))

    def scaled(scale):
        return by_hand(attentions, scale, (1,))[0]

    return Case(model.apply, (variables, X), truth, names[1], scaled)


def scanned():
    model = Model(scanned=True)
    variables = model.init(jax.random.key(1), X)
    stack = variables["params"]["layers"]["attention"]
    attentions = [part(stack, i) for i in range(LAYERS)]
    name = "layers.*.attention.weights"
    truth = {name: jnp.stack(by_hand(attentions, jnp.ones(HEADS), ())[1])}

    def scaled(scale):
        return by_hand(attentions, scale, range(LAYERS))[0]

    return Case(model.apply, (variables, X), truth, name, scaled)


LIBRARY = Library(
    name="Linen",
    package="flax",
    lines="""
fn = tap_attention(model.apply)
out, maps = capture(fn, "*.weights")(variables, x)
out = intervene(fn, {"layers.1.*.weights": patch(0.0, heads=[2])})(variables, x)
""",
    models={
        "layers": unrolled,
        "remat": lambda: unrolled(checkpointed=True),
        "scan": scanned,
    },
)
