"""A model that answers questions about pictures by co-attention."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from attn_jax.models.image import PatchStem
from attn_jax.models.sizes import filled
from attn_jax.nn import ScaledDotProductAttention

_WAVES = 3


class CoAttentionRound(nn.Module):
    """What the picture has shown attends to the words, and the words then attend to the picture.

    Attributes:
        features: The features of words and cells.
        words: The attention to the words.
        cells: The attention to the cells.
    """

    features: int
    words: nn.Module
    cells: nn.Module

    @nn.compact
    def __call__(
        self,
        memory: Float[Array, "n q d"],
        summary: Float[Array, "n q d"],
        question: Float[Array, "n q w d"],
        exists: Bool[Array, "n q w"],
        keys: Float[Array, "n k d"],
        grid: Float[Array, "n k d"],
    ) -> Float[Array, "n q d"]:
        """Return what has been seen for each question after another look at words and picture.

        Args:
            memory: What has been seen before.
            summary: The mean of the words of each question.
            question: Its words.
            exists: Which words exist.
            keys: What the cells of the picture are found by, shared by its questions.
            grid: What the cells hold.
        """
        known = jnp.concatenate([nn.LayerNorm()(memory), summary], -1)
        asking = nn.Dense(self.features, name="asking")(known)[..., None, :]
        control = self.words(asking, question, question, key_mask=exists)[..., 0, :]
        query = _Perceptron(self.features, name="query")(jnp.concatenate([known, control], -1))
        read = nn.LayerNorm()(self.cells(query, keys, grid))
        gate = nn.Dense(self.features, name="gate")(control)
        parts = jnp.concatenate([nn.LayerNorm()(memory), gate * read], -1)
        return memory + _Perceptron(self.features, name="update")(parts)


class _Perceptron(nn.Module):
    """A hidden layer beside a linear path."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b features"]:
        hidden = nn.relu(nn.Dense(2 * self.features)(x))
        return nn.Dense(self.features)(x) + nn.Dense(self.features, use_bias=False)(hidden)


class CoAttentionNetwork(nn.Module):
    """Alternating co-attention of questions and a picture, in several rounds.

    A stem makes a grid of cells, once for all questions about a picture. A cell knows what its
    patch shows and where it is, and nothing of the other cells. In each round the memory of what
    the picture has shown so far attends to the words, and what it reads there attends to the cells.
    What the cells show, gated by these words, goes into the memory. The answer is read from the
    memory alone: a way around it from the words would learn which answers are frequent. It is read
    after every round, so that each can be trained; that after the last one counts.

    Attributes:
        stem: Maps `(*b, height, width, 3)` to a grid of cells, `(*b, gh, gw, d)`. The sizes of the
            default put the middle of what a cell sees into the middle of the cell.
        features: The features of words, cells and the memory.
        rounds: The number of rounds.
        dropout_rate: The share of questions whose memory is lost between rounds in training.
        words: The attention to the words, any of `attn_jax.nn`.
        cells: The attention to the cells, any of `attn_jax.nn`.
        vocabulary: The number of words; filled in from the task. Word 0 is padding.
        num_words: The most words of a question; filled in from the task.
        num_answers: The number of answers; filled in from the task.
        cells_pattern: The hook points of the attention to the picture, (n, q, k).
        words_pattern: The hook points of the attention to the words, (n, q, 1, w).

    Example:
        >>> model = CoAttentionNetwork(
        ...     stem=PatchStem((8,), (5,), (4,)), vocabulary=11, num_words=3, num_answers=5
        ... )
        >>> image, question = jnp.ones((2, 16, 16, 3)), jnp.ones((2, 7, 3), jnp.int32)
        >>> model.apply(model.init(jax.random.key(0), image, question), image, question).shape
        (2, 2, 7, 5)

    References:
        Lu et al., "Hierarchical Question-Image Co-Attention for Visual Question Answering", 2016,
        section 3.3, alternating co-attention. https://arxiv.org/abs/1606.00061
        Hudson and Manning, "Compositional Attention Networks for Machine Reasoning", 2018, section
        3.2, for rounds with a memory. https://arxiv.org/abs/1803.03067
    """

    stem: nn.Module = PatchStem((32, 48, 64), (6, 1, 4), (4, 1, 2))
    features: int = 64
    rounds: int = 2
    dropout_rate: float = 0.3
    words: nn.Module = ScaledDotProductAttention()
    cells: nn.Module = ScaledDotProductAttention()
    vocabulary: int | None = None
    num_words: int | None = None
    num_answers: int | None = None
    cells_pattern: ClassVar[str] = "round.*.cells.weights"
    words_pattern: ClassVar[str] = "round.*.words.weights"

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "n height width 3"],
        question: Int[Array, "n q w"],
        *,
        train: bool = False,
    ) -> Float[Array, "rounds n q answers"]:
        """Map pictures and the words of several questions about each to logits of answers.

        Args:
            image: The pictures, in [0, 1].
            question: The words of the questions, padded with zeros.
            train: Turns dropout on; then give `rngs={"dropout": rng}`.

        Returns:
            The logits after each round.

        Raises:
            ValueError: If a size is not filled in.
        """
        num_answers = filled(self, "num_answers")
        # About zero where a picture has the color of its ground, whichever that is.
        grid = self.stem(4 * (image - image.mean((1, 2), keepdims=True)))
        n, rows, columns, _ = grid.shape
        held = jnp.concatenate([grid, _places(n, rows, columns)], -1)
        held = held.reshape(n, rows * columns, -1)
        cells, keys = (nn.Dense(self.features, name=name)(held) for name in ("cell", "key"))
        words, exists = self._embed(question), question != 0
        hidden = nn.relu(nn.Dense(self.features)(words)) * exists[..., None]
        count = jnp.maximum(exists.sum(-1), 1)[..., None]
        summary = nn.Dense(self.features, name="summary")(hidden.sum(-2) / count)
        forget = nn.Dropout(self.dropout_rate, broadcast_dims=(-1,), deterministic=not train)
        memory, memories = jnp.zeros_like(summary), []
        for number in range(self.rounds):
            # Without a memory, a round has to look for itself at what the one before has seen.
            memory = forget(memory)
            attentions = self.words.clone(parent=None), self.cells.clone(parent=None)
            turn = CoAttentionRound(self.features, *attentions, name=f"round_{number}")
            memory = turn(memory, summary, words, exists, keys, cells)
            memories.append(memory)
        hidden = nn.relu(nn.Dense(self.features)(nn.LayerNorm()(jnp.stack(memories))))
        return nn.Dense(num_answers, name="head")(hidden)

    def _embed(self, question: Int[Array, "n q w"]) -> Float[Array, "n q w d"]:
        """Embed the words, with learned positions."""
        initial, features = nn.initializers.normal(1.0), self.features
        size = filled(self, "vocabulary")
        embed = nn.Embed(size, features, embedding_init=initial, name="embed")
        shape = (filled(self, "num_words"), features)
        position = self.param("position", nn.initializers.normal(0.3), shape, jnp.float32)
        return embed(question) + position[None, None, : question.shape[-1]]

    def grid(self, image_shape: tuple[int, int]) -> tuple[int, int]:
        """Return the rows and columns of cells that the stem makes of an image of this shape."""
        image = jnp.zeros((*image_shape, 3))
        stem = self.stem.clone(parent=None)
        cells, _ = jax.eval_shape(stem.init_with_output, jax.random.key(0), image)
        return cells.shape[:2]


def _places(n: int, rows: int, columns: int) -> Float[Array, "n rows columns p"]:
    """Return the row and the column of each cell, from −1 to 1, and waves of them."""
    down, across = (2 * (jnp.arange(count) + 0.5) / count - 1 for count in (rows, columns))
    place = jnp.stack(jnp.meshgrid(down, across, indexing="ij"), -1)
    waves = [f(jnp.pi / 2 * k * place) for k in range(1, _WAVES + 1) for f in (jnp.sin, jnp.cos)]
    places = jnp.concatenate([place, *waves], -1)
    return jnp.broadcast_to(places, (n, *places.shape))
