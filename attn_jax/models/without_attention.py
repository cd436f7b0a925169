"""Networks without attention, to compare with: an image classifier and a translator."""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from attn_jax.models.image import RowStem
from attn_jax.models.recurrent.decoders import Maxout, Memory, RecurrentDecoder, State
from attn_jax.models.recurrent.translator import RecurrentTranslator
from attn_jax.models.sizes import filled


class PlainImageClassifier(nn.Module):
    """What is left of :class:`ImageClassifier` without its attention.

    Attributes:
        stem: Maps `(*b, height, width, 1)` to a grid of tokens, `(*b, gh, gw, d)`.
        pooling: `mean` averages the tokens, `all` hands all of them to the last layer.
        num_classes: The number of classes; filled in from the task.
        dropout_rate: The fraction of pooled features dropped in training.

    Example:
        >>> model = PlainImageClassifier(num_classes=10)
        >>> image = jnp.ones((2, 28, 28))
        >>> model.apply(model.init(jax.random.key(0), image), image).shape
        (2, 10)
    """

    stem: nn.Module = RowStem()
    pooling: Literal["mean", "all"] = "mean"
    num_classes: int | None = None
    dropout_rate: float = 0.1

    @nn.compact
    def __call__(
        self, image: Float[Array, "*b height width"], *, train: bool = False
    ) -> Float[Array, "*b classes"]:
        """Map images `(*b, height, width)` in [0, 1] to logits `(*b, num_classes)`.

        Raises:
            ValueError: If the number of classes is not filled in.
        """
        num_classes = filled(self, "num_classes")
        grid = self.stem(image[..., None])
        position = self.param(
            "position", nn.initializers.normal(0.02), grid.shape[-3:], jnp.float32
        )
        grid = nn.LayerNorm()(grid + jnp.broadcast_to(position, grid.shape))
        tokens = grid.reshape(*grid.shape[:-3], -1, grid.shape[-1])
        if self.pooling == "mean":
            pooled = tokens.mean(-2)
        else:
            pooled = tokens.reshape(*tokens.shape[:-2], -1)
        pooled = nn.Dropout(self.dropout_rate, deterministic=not train)(pooled)
        return nn.Dense(num_classes, name="head")(pooled)


class FixedVectorDecoder(RecurrentDecoder):
    r"""A decoder that sees the source as one vector, the same at every step.

    .. math:: c = \tanh(W [\overrightarrow{h}_n; \overleftarrow{h}_1]), \qquad
              s_i = f(s_{i-1}, [y_{i-1}; c]), \qquad
              t_i = \operatorname{maxout}(U_o s_i + V_o y_{i-1} + C_o c)

    c joins the encoder's last states in both directions, which have read the whole source. The
    `attention` of the base class is not used.

    References:
        Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical
        Machine Translation", 2014, section 2.2. https://arxiv.org/abs/1406.1078
    """

    def setup(self) -> None:
        """Create the submodules."""
        super().setup()
        self.summary = nn.Dense(2 * self.features)
        self.readout = Maxout(self.features)

    def start(self, encoded: jax.Array, mask: jax.Array) -> tuple[Memory, State]:
        """Return the vector of the source, as the memory, and the first state.

        Args:
            encoded: Both states of the encoder at each token; zeros at the padding.
            mask: True where there is a token.
        """
        _, state = super().start(encoded, mask)
        forward, backward = jnp.split(encoded, 2, axis=-1)
        last = jnp.maximum(mask[:, 0].sum(-1) - 1, 0)[:, None, None]
        ends = [jnp.take_along_axis(forward, last, 1)[:, 0], backward[:, 0]]
        return {"vector": jnp.tanh(self.summary(jnp.concatenate(ends, -1)))}, state

    def advance(
        self, memory: Memory, state: State, embedded: jax.Array, deterministic: bool
    ) -> tuple[State, jax.Array]:
        """Take one step."""
        vector = memory["vector"]
        state, hidden = self.recurrence(state, jnp.concatenate([embedded, vector], axis=-1))
        return state, jnp.concatenate([hidden, embedded, vector], axis=-1)

    def project(self, features: jax.Array) -> jax.Array:
        """Project the state, the previous token and the vector by maxout."""
        return self.readout(features)


class FixedVectorTranslator(RecurrentTranslator):
    """A recurrent encoder and a decoder that sees one vector of the source.

    It has no weights that could align the target with the source.

    Attributes:
        decoder: The decoder.
        alignment_pattern: No hook points.

    Example:
        >>> model = FixedVectorTranslator(source_vocabulary=11, target_vocabulary=13)
        >>> source, target = jnp.array([[4, 5, 6, 0]]), jnp.array([[7, 8, 2]])
        >>> variables = model.init(jax.random.key(0), source, target)
        >>> model.apply(variables, source, target).shape
        (1, 3, 13)
    """

    decoder: nn.Module = FixedVectorDecoder()
    alignment_pattern: ClassVar[str | tuple[str, ...]] = ()

    @nn.nowrap
    def name_weights(self, captured: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """Return no weights."""
        return {}
