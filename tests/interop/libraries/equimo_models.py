"""Equimo: a vision transformer on Equinox, beside what `jax.nn.softmax` gave in its own run."""

import jax

from attn_jax.interop import named
from libraries import spied
from libraries.case import Library

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

    names = [f"blocks.0.blocks.{i}.attn.weights" for i in range(2)]
    fn = named(lambda image: run(model, image), model)
    return spied.case(fn, lambda: run(model, IMAGE), (IMAGE,), names, 1)


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
