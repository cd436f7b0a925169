"""A detector whose queries find objects by attention to an image (DETR)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from attn_jax.models.image import PatchStem
from attn_jax.models.sizes import filled
from attn_jax.models.transformer.layers import FeedForward
from attn_jax.models.transformer.translator import sinusoidal_positions
from attn_jax.nn import MultiHeadAttention


class Detections(NamedTuple):
    """What the queries of each decoder layer found; the last layer's is the answer.

    Attributes:
        logits: The logit of each class, and last that of no object, `(layers, n, q, classes + 1)`.
        box: `(top, left, bottom, right)` as fractions of the image's sides, `(layers, n, q, 4)`.
    """

    logits: Float[Array, "layers n q c"]
    box: Float[Array, "layers n q 4"]


class QueryLayer(nn.Module):
    """Attention among the queries, attention to the image, and a feed-forward network.

    Attributes:
        num_heads: The heads of each attention.
        hidden_dim: The hidden units of the feed-forward network.
    """

    num_heads: int = 4
    hidden_dim: int = 128

    @nn.compact
    def __call__(
        self, x: Float[Array, "n q d"], place: Float[Array, "q d"], tokens: Float[Array, "n k d"]
    ) -> Float[Array, "n q d"]:
        """Transform the queries.

        Args:
            x: What the queries have found so far.
            place: The learned vector of each query, which is added wherever it asks.
            tokens: The tokens of the image.
        """

        def asked(x: jax.Array) -> jax.Array:
            return nn.LayerNorm()(x) + place[None]

        query = asked(x)
        heads = self.num_heads
        x = x + MultiHeadAttention(num_heads=heads, name="self_attention")(query)
        x = x + MultiHeadAttention(num_heads=heads, name="cross_attention")(asked(x), tokens)
        return x + FeedForward(self.hidden_dim)(nn.LayerNorm()(x))


class Detector(nn.Module):
    """A small DETR: learned queries attend to an image, and each finds one object or none.

    A stem makes a grid of tokens, to which sinusoidal positions are added. Each decoder layer
    lets the queries attend to each other and to the tokens; the class and the box of each query are
    read after every layer, so that each can be trained. It has no encoder layers. The hook points
    of the attention to the image are `layers.0.cross_attention.weights` and so on.

    Attributes:
        stem: Maps `(*b, height, width, 1)` to a grid of tokens, `(*b, gh, gw, d)`.
        num_queries: The number of queries, the most objects that can be found.
        num_layers: The number of decoder layers.
        num_heads: The heads of each attention.
        hidden_dim: The hidden units of the feed-forward networks.
        num_classes: The number of classes; filled in from the task.

    Example:
        >>> model = Detector(stem=PatchStem((8,), (5,), (4,)), num_layers=2, num_classes=10)
        >>> image = jnp.ones((3, 16, 16))
        >>> found = model.apply(model.init(jax.random.key(0), image), image)
        >>> found.logits.shape, found.box.shape
        ((2, 3, 8, 11), (2, 3, 8, 4))

    References:
        Carion et al., "End-to-End Object Detection with Transformers", 2020.
        https://arxiv.org/abs/2005.12872
    """

    stem: nn.Module = PatchStem((24, 48, 96, 96), (6, 4, 4, 3), (2, 2, 2, 1))
    num_queries: int = 8
    num_layers: int = 3
    num_heads: int = 4
    hidden_dim: int = 192
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: Float[Array, "n height width"]) -> Detections:
        """Map images `(n, height, width)` in [0, 1] to the classes and boxes of the queries.

        Raises:
            ValueError: If the number of classes is not filled in.
        """
        num_classes = filled(self, "num_classes")
        grid = self.stem(image[..., None])
        n, rows, columns, features = grid.shape
        positions = grid_positions(rows, columns, features)
        tokens = nn.LayerNorm()(grid).reshape(n, -1, features) + positions[None]
        shape = (self.num_queries, features)
        place = self.param("place", nn.initializers.normal(1.0), shape, jnp.float32)

        x, found = jnp.zeros((n, *shape)), []
        for number in range(self.num_layers):
            layer = QueryLayer(self.num_heads, self.hidden_dim, name=f"layers_{number}")
            x = layer(x, place, tokens)
            found.append(x)
        x = nn.LayerNorm()(jnp.stack(found))
        hidden = nn.relu(nn.Dense(features, name="box_hidden")(x))
        box = nn.sigmoid(nn.Dense(4, name="box")(hidden))
        return Detections(nn.Dense(num_classes + 1, name="label")(x), corners(box))

    def grid(self, image_shape: tuple[int, int]) -> tuple[int, int]:
        """Return the rows and columns of tokens that the stem makes of an image of this shape."""
        image = jnp.zeros((*image_shape, 1))
        stem = self.stem.clone(parent=None)
        tokens, _ = jax.eval_shape(stem.init_with_output, jax.random.key(0), image)
        return tokens.shape[:2]


def grid_positions(rows: int, columns: int, features: int) -> Float[Array, "k d"]:
    """Return a vector for each position of a grid, half of it for the row and half for the column.

    Raises:
        ValueError: If the number of features is no multiple of 4.

    Example:
        >>> grid_positions(3, 5, 8).shape
        (15, 8)
    """
    if features % 4:
        raise ValueError(
            f"the stem gives {features} features; give it a multiple of 4, half of them for the "
            "row and half for the column of sines and cosines."
        )
    down, across = (sinusoidal_positions(jnp.arange(n), features // 2) for n in (rows, columns))
    return jnp.concatenate([jnp.repeat(down, columns, 0), jnp.tile(across, (rows, 1))], -1)


def corners(box: Float[Array, "*b 4"]) -> Float[Array, "*b 4"]:
    """Turn `(center down, center across, height, width)` into `(top, left, bottom, right)`.

    Example:
        >>> corners(jnp.array([0.5, 0.5, 0.25, 0.5])).tolist()
        [0.375, 0.25, 0.625, 0.75]
    """
    center, half = box[..., :2], box[..., 2:] / 2
    return jnp.concatenate([center - half, center + half], -1)
