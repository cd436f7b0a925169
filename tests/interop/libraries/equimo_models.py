"""Equimo: a vision transformer on Equinox, beside what `jax.nn.softmax` gave in its own run."""

from unittest import mock

import jax

from attn_jax.interop import named
from libraries.case import Case, Library, scaled_heads

IMAGE = jax.random.normal(jax.random.key(0), (3, 12, 12))


def vit():
    import equinox as eqx
    from equimo.models.vit import VisionTransformer

    model = VisionTransformer(
        img_size=12,
        in_channels=3,
        dim=12,
        patch_size=4,
        num_heads=[3],
        depths=[2],
        num_classes=5,
        key=jax.random.key(1),
    )
    model = jax.tree.map(lambda w: 3 * w if eqx.is_array(w) and w.ndim == 2 else w, model)

    def run(model, image):
        return model(image, key=jax.random.key(0), inference=True)

    def projection(model):
        return model.blocks[0].blocks[1].attn.proj.weight

    def scaled(scale):
        kernel = scaled_heads({"w": projection(model)}, "w", scale, axis=1)["w"]
        return run(eqx.tree_at(projection, model, kernel), IMAGE)

    names = [f"blocks.0.blocks.{i}.attn.weights" for i in range(2)]
    truth = dict(zip(names, _softmaxes(run, model), strict=True))
    return Case(named(lambda image: run(model, image), model), (IMAGE,), truth, names[1], scaled)


def _softmaxes(run, model):
    results = []
    softmax = jax.nn.softmax

    def watched(*args, **kwargs):
        results.append(softmax(*args, **kwargs))
        return results[-1]

    with mock.patch("jax.nn.softmax", watched):
        run(model, IMAGE)
    return results


LIBRARY = Library(
    name="equimo",
    package="equimo",
    lines="""
fn = tap_attention(named(lambda image: model(image, inference=True), model))
out, maps = capture(fn, "*.weights")(image)
out = intervene(fn, {"*.blocks.1.attn.weights": patch(0.0, heads=[2])})(image)
""",
    models={"ViT": vit},
)
