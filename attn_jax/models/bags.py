"""A classifier of bags of images, which pools embedded images by attention."""

from flax import linen as nn
from jaxtyping import Array, Bool, Float

from attn_jax.models.image import PatchStem
from attn_jax.models.sizes import filled
from attn_jax.nn import AdditiveAttention, AttentionPooling


class BagClassifier(nn.Module):
    """A classifier that embeds each image of a bag, pools them by attention and classifies the bag.

    The order of the images does not matter, nor do images that are not `present`. The weights of
    `pooling.attention` show which images decide the class.

    Attributes:
        stem: Maps `(*b, height, width, 1)` to a grid of tokens, which are concatenated.
        features: The features of an embedded image.
        attention: Any attention of `attn_jax.nn`; additive with a learned query is Ilse's.
        dropout_rate: The fraction of an embedded image's features dropped in training.
        num_classes: The number of classes; filled in from the task.

    Example:
        >>> model = BagClassifier(num_classes=2)
        >>> image, present = jnp.zeros((3, 5, 28, 28)), jnp.ones((3, 5), bool)
        >>> variables = model.init(jax.random.key(0), image, present)
        >>> model.apply(variables, image, present).shape
        (3, 2)

    References:
        Ilse, Tomczak and Welling, "Attention-based Deep Multiple Instance Learning", 2018,
        section 2.4, https://arxiv.org/abs/1802.04712.
    """

    stem: nn.Module = PatchStem(features=(16, 32), sizes=(5, 3), strides=(3, 2))
    features: int = 128
    attention: nn.Module = AdditiveAttention(hidden_dim=64)
    dropout_rate: float = 0.25
    num_classes: int | None = None

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "*b k height width"],
        present: Bool[Array, "*b k"],
        *,
        train: bool = False,
    ) -> Float[Array, "*b classes"]:
        """Map bags `(*b, k, height, width)` in [0, 1] to logits `(*b, num_classes)`.

        Args:
            image: The images of each bag.
            present: True where a bag has an image, False at its padding.
            train: Turns dropout on; then give `rngs={"dropout": rng}`.

        Raises:
            ValueError: If the number of classes is not filled in.
        """
        num_classes = filled(self, "num_classes")
        grid = self.stem(image[..., None])
        flat = grid.reshape(*grid.shape[:-3], -1)
        embedded = nn.relu(nn.Dense(self.features, name="embed")(flat))
        embedded = nn.Dropout(self.dropout_rate, deterministic=not train)(embedded)
        pooled = AttentionPooling(self.attention, name="pooling")(
            embedded, key_mask=present, deterministic=not train
        )
        return nn.Dense(num_classes, name="head")(pooled)
