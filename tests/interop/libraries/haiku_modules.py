"""Haiku: its attention, in layers that are unrolled and in a stack that is scanned."""

import jax
import jax.numpy as jnp

from libraries.case import Case, Library, attend

HEADS, SIZE, FEATURES, LAYERS = 3, 4, 12, 2
X = jax.random.normal(jax.random.key(0), (2, 5, FEATURES))


def layer(x):
    import haiku as hk

    init = hk.initializers.VarianceScaling(2.0)
    return x + hk.MultiHeadAttention(HEADS, SIZE, w_init=init, name="attention")(x, x, x)


def layer_by_hand(params, x, scale):
    """Return what a layer gives, and the weights of its attention, from its parameters."""

    def project(name, x):
        return x @ params[name]["w"] + params[name]["b"]

    query, key, value = (
        project(name, x).reshape(*x.shape[:-1], HEADS, SIZE) for name in ("query", "key", "value")
    )
    weights = attend(query, key)
    context = jnp.einsum("bhqk,bkhd->bqhd", weights, value) * scale[:, None]
    return x + project("linear", context.reshape(x.shape)), weights


def named_layer(name):
    import haiku as hk

    class Layer(hk.Module):
        def __call__(self, x):
            return layer(x)

    return Layer(name=name)


def in_layers(x):
    for number in range(LAYERS):
        x = named_layer(f"layer_{number}")(x)
    return x


def in_a_stack(x):
    import haiku as hk

    return hk.experimental.layer_stack(LAYERS)(lambda x: named_layer("layer")(x))(x)


def case(fn, path_of_layer, names, number_in_site):
    """Build a case; `path_of_layer(params, i)` gives the parameters of one layer by projection."""
    import haiku as hk

    model = hk.without_apply_rng(hk.transform(fn))
    params = model.init(jax.random.key(1), X)

    def by_hand(scale):
        x, maps = X, []
        for i in range(LAYERS):
            factors = scale if number_in_site in (i, None) else jnp.ones(HEADS)
            x, weights = layer_by_hand(path_of_layer(params, i), x, factors)
            maps.append(weights)
        return x, maps

    maps = by_hand(jnp.ones(HEADS))[1]
    truth = dict(zip(names, maps if len(names) > 1 else [jnp.stack(maps)], strict=True))
    return Case(model.apply, (params, X), truth, names[-1], lambda scale: by_hand(scale)[0])


def layers():
    def of_layer(params, i):
        start = f"layer_{i}/attention/"
        return {p.removeprefix(start): w for p, w in params.items() if p.startswith(start)}

    names = [f"layer.{i}.attention.weights" for i in range(LAYERS)]
    return case(in_layers, of_layer, names, LAYERS - 1)


def stack():
    def of_layer(params, i):
        return {
            path.rpartition("/")[2]: jax.tree.map(lambda w: w[i], p) for path, p in params.items()
        }

    return case(in_a_stack, of_layer, ["layer.*.attention.weights"], None)


LIBRARY = Library(
    name="haiku",
    package="dm-haiku",
    lines="""
fn = tap_attention(model.apply)  # model = hk.without_apply_rng(hk.transform(...))
out, maps = capture(fn, "*.weights")(params, x)
out = intervene(fn, {"layer.1.*.weights": patch(0.0, heads=[2])})(params, x)
""",
    models={"layers": layers, "layer_stack": stack},
)
