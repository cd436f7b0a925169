"""Equinox: its attention in a model of two blocks, closed over, passed in, and scanned."""

import jax
import jax.numpy as jnp

from attn_jax.interop import named
from libraries.case import Case, Library, attend, part

HEADS, FEATURES = 3, 12
X = jax.random.normal(jax.random.key(0), (5, FEATURES))
MASK = jnp.tril(jnp.ones((5, 5), bool))


def modules():
    """Return the classes of a model, defined late so that this file imports without Equinox."""
    import equinox as eqx

    class Block(eqx.Module):
        attn: eqx.nn.MultiheadAttention

        def __init__(self, key):
            attn = eqx.nn.MultiheadAttention(HEADS, FEATURES, key=key)
            # Larger projections make the maps differ from uniform ones.
            self.attn = jax.tree.map(lambda w: 2 * w if eqx.is_array(w) else w, attn)

        def __call__(self, x):
            return x + self.attn(x, x, x, mask=MASK)

    class Transformer(eqx.Module):
        blocks: list[Block]

        def __init__(self):
            self.blocks = [Block(jax.random.key(i)) for i in range(2)]

        def __call__(self, x):
            for block in self.blocks:
                x = block(x)
            return x

    class Scanned(eqx.Module):
        blocks: Block

        def __init__(self):
            self.blocks = eqx.filter_vmap(Block)(jax.random.split(jax.random.key(0)))

        def __call__(self, x):
            dynamic, static = eqx.partition(self.blocks, eqx.is_array)

            def step(x, part):
                return eqx.combine(part, static)(x), None

            return jax.lax.scan(step, x, dynamic)[0]

    return Transformer, Scanned


def block_by_hand(attn, x, scale):
    """Return what a block gives, and its weights, from the parameters of its attention."""

    def heads(projection):
        return (x @ projection.weight.T).reshape(len(x), HEADS, -1)

    query, key, value = map(heads, (attn.query_proj, attn.key_proj, attn.value_proj))
    weights = attend(query, key, jnp.where(MASK, 0.0, -jnp.inf))
    context = jnp.einsum("hqk,khd->qhd", weights, value) * scale[:, None]
    return x + context.reshape(x.shape) @ attn.output_proj.weight.T, weights


def by_hand(attentions, x, scale, edited):
    maps = []
    for i, attn in enumerate(attentions):
        x, weights = block_by_hand(attn, x, scale if i in edited else jnp.ones(HEADS))
        maps.append(weights)
    return x, maps


def layers():
    model = modules()[0]()
    attentions = [block.attn for block in model.blocks]
    names = [f"blocks.{i}.attn.weights" for i in range(2)]
    truth = dict(zip(names, by_hand(attentions, X, jnp.ones(HEADS), ())[1], strict=True))
    return Case(
        named(model, model),
        (X,),
        truth,
        names[1],
        lambda scale: by_hand(attentions, X, scale, (1,))[0],
    )


def batched():
    """Build the model under `vmap`, with its arrays as an argument."""
    import equinox as eqx

    model = modules()[0]()
    dynamic, static = eqx.partition(model, eqx.is_array)
    batch = jnp.stack([X, X[::-1]])
    attentions = [block.attn for block in model.blocks]

    def fn(dynamic, batch):
        return jax.vmap(eqx.combine(dynamic, static))(batch)

    def one(scale, x):
        out, maps = by_hand(attentions, x, scale, (0,))
        return out, jnp.stack(maps)

    names = [f"blocks.{i}.attn.weights" for i in range(2)]
    maps = jax.vmap(one, (None, 0), (0, 1))(jnp.ones(HEADS), batch)[1]
    return Case(
        named(fn, model),
        (dynamic, batch),
        dict(zip(names, maps, strict=True)),
        names[0],
        lambda scale: jax.vmap(one, (None, 0))(scale, batch)[0],
    )


def scanned():
    model = modules()[1]()
    attentions = [part(model.blocks.attn, i) for i in range(2)]
    maps = by_hand(attentions, X, jnp.ones(HEADS), ())[1]
    return Case(
        named(model, model),
        (X,),
        {"blocks.*.attn.weights": jnp.stack(maps)},
        "blocks.*.attn.weights",
        lambda scale: by_hand(attentions, X, scale, (0, 1))[0],
    )


LIBRARY = Library(
    name="Equinox",
    package="equinox",
    lines="""
fn = tap_attention(named(model, model))
out, maps = capture(fn, "*.weights")(x)
out = intervene(fn, {"blocks.1.*.weights": patch(0.0, heads=[2])})(x)
""",
    models={"layers": layers, "vmap": batched, "scan": scanned},
)
