"""Models that answer questions about stories: with hops, a Transformer, and without attention."""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from attn_jax.models.sizes import filled
from attn_jax.models.transformer.translator import TransformerEncoder, sinusoidal_positions
from attn_jax.nn import DotProductAttention


class MemoryNetwork(nn.Module):
    r"""A memory network with hops: each attends to the sentences, and adds what it reads.

    .. math:: u_{h+1} = u_h + \sum_i \operatorname{softmax}_i(u_h^\top m_{h,i})\, c_{h,i}

    The memories :math:`m_{h,i}` and :math:`c_{h,i} = m_{h+1,i}` of a sentence are sums of embedded
    words, weighed by their position, and a learned vector for how long ago it was.

    Attributes:
        features: The features of an embedded sentence.
        hops: The number of hops.
        vocabulary: The number of words; filled in from the task. Word 0 is padding.
        num_answers: The number of answers; filled in from the task.
        num_sentences: The most sentences of a story; filled in from the task.
        attention_patterns: The hook points of the hops' attention to the sentences.

    Example:
        >>> model = MemoryNetwork(vocabulary=11, num_answers=3, num_sentences=5)
        >>> story, question = jnp.ones((2, 5, 4), jnp.int32), jnp.ones((2, 3), jnp.int32)
        >>> model.apply(model.init(jax.random.key(0), story, question), story, question).shape
        (2, 3)

    References:
        Sukhbaatar et al., "End-To-End Memory Networks", 2015, sections 2.2 and 4.1, with adjacent
        weight sharing. https://arxiv.org/abs/1503.08895
    """

    features: int = 64
    hops: int = 3
    vocabulary: int | None = None
    num_answers: int | None = None
    num_sentences: int | None = None

    @property
    def attention_patterns(self) -> tuple[str, ...]:
        """The hook points of the attention, in the order of the hops."""
        return tuple(f"hop.{hop}.weights" for hop in range(self.hops))

    @nn.compact
    def __call__(
        self, story: Int[Array, "n s w"], question: Int[Array, "n v"], *, train: bool = False
    ) -> Float[Array, "n answers"]:
        """Map words of sentences and of questions to logits of answers.

        Args:
            story: The words of each sentence, padded with zeros; the last sentence is the latest.
            question: The words of the question, padded with zeros.
            train: Ignored.

        Raises:
            ValueError: If a size is not filled in.
        """
        num_answers = filled(self, "num_answers")
        initial = nn.initializers.normal(0.1)
        exists = (story != 0).any(-1)
        embeds, memories = [], []
        for number in range(self.hops + 1):
            embed = nn.Embed(
                filled(self, "vocabulary"),
                self.features,
                embedding_init=initial,
                name=f"embed_{number}",
            )
            time = self.param(
                f"time_{number}",
                initial,
                (filled(self, "num_sentences"), self.features),
                jnp.float32,
            )
            memories.append(_weighed(embed, story) + time[None, -story.shape[1] :])
            embeds.append(embed)
        state = _weighed(embeds[0], question)
        for hop in range(self.hops):
            attention = DotProductAttention(name=f"hop_{hop}")
            read = attention(state[:, None], memories[hop], memories[hop + 1], key_mask=exists)
            state = state + read[:, 0]
        return nn.Dense(num_answers, name="head")(state)


def _weighed(embed: nn.Module, words: Int[Array, "*b w"]) -> Float[Array, "*b d"]:
    """Return the sum of embedded words, each feature weighed by the word's position."""
    embedded = embed(words)
    count, features = embedded.shape[-2:]
    word = (jnp.arange(count) + 1)[:, None] / count
    feature = (jnp.arange(features) + 1)[None] / features
    weights = (1 - word) - feature * (1 - 2 * word)
    known = embedded * (words != 0)[..., None]
    return jnp.einsum("...wd,wd->...d", known, weights, precision="highest")


class StoryTransformer(nn.Module):
    """A Transformer over the sentences of a story and, as the last token, the question.

    A sentence is a dense layer of its embedded words in their order.

    Attributes:
        features: The features of a token.
        num_layers: The number of layers.
        num_heads: The heads of each attention.
        hidden_dim: The hidden units of each feed-forward network.
        dropout_rate: The fraction dropped in training of what each part adds.
        vocabulary: The number of words; filled in from the task. Word 0 is padding.
        num_answers: The number of answers; filled in from the task.
        num_sentences: The most sentences of a story; filled in from the task.
        attention_patterns: The hook points of the layers' attention, whose last query is the
            question.

    Example:
        >>> model = StoryTransformer(vocabulary=11, num_answers=3, num_sentences=5)
        >>> story, question = jnp.ones((2, 5, 4), jnp.int32), jnp.ones((2, 3), jnp.int32)
        >>> model.apply(model.init(jax.random.key(0), story, question), story, question).shape
        (2, 3)
    """

    features: int = 64
    num_layers: int = 3
    num_heads: int = 4
    hidden_dim: int = 128
    dropout_rate: float = 0.0
    vocabulary: int | None = None
    num_answers: int | None = None
    num_sentences: int | None = None
    attention_patterns: ClassVar[tuple[str, ...]] = ("encoder.layers.*.self_attention.weights",)

    @nn.compact
    def __call__(
        self, story: Int[Array, "n s w"], question: Int[Array, "n v"], *, train: bool = False
    ) -> Float[Array, "n answers"]:
        """Map words of sentences and of questions to logits of answers.

        Args:
            story: The words of each sentence, padded with zeros; the last sentence is the latest.
            question: The words of the question, padded with zeros.
            train: Turns dropout on; then give `rngs={"dropout": rng}`.

        Raises:
            ValueError: If a size is not filled in.
        """
        num_answers = filled(self, "num_answers")
        embed = nn.Embed(filled(self, "vocabulary"), self.features, name="embed")
        sentences, asked = (
            nn.Dense(self.features, name=name)(
                (embed(words) * (words != 0)[..., None]).reshape(*words.shape[:-1], -1)
            )
            for name, words in (("sentence", story), ("question", question[:, None]))
        )
        tokens = jnp.concatenate([sentences, asked], axis=1)
        # Counted from the question back, because stories of other lengths end alike.
        ago = jnp.arange(tokens.shape[1])[::-1]
        tokens = tokens * self.features**0.5 + sinusoidal_positions(ago, self.features)[None]
        exists = jnp.pad((story != 0).any(-1), ((0, 0), (0, 1)), constant_values=True)
        encoder = TransformerEncoder(
            self.num_layers, self.num_heads, self.hidden_dim, self.dropout_rate, name="encoder"
        )
        encoded = encoder(tokens, exists[:, None, None, :], not train)
        return nn.Dense(num_answers, name="head")(encoded[:, -1])


class StoryBaseline(nn.Module):
    """A model without attention, to compare with.

    Attributes:
        kind: `bag` counts the words of the story and of the question; `recurrent` reads the
            sentences by an LSTM that knows the question.
        features: The hidden units.
        vocabulary: The number of words; filled in from the task. Word 0 is padding.
        num_answers: The number of answers; filled in from the task.
        num_sentences: The most sentences of a story; filled in from the task.

    Example:
        >>> model = StoryBaseline(vocabulary=11, num_answers=3)
        >>> story, question = jnp.ones((2, 5, 4), jnp.int32), jnp.ones((2, 3), jnp.int32)
        >>> model.apply(model.init(jax.random.key(0), story, question), story, question).shape
        (2, 3)
    """

    kind: Literal["bag", "recurrent"] = "recurrent"
    features: int = 64
    vocabulary: int | None = None
    num_answers: int | None = None
    num_sentences: int | None = None
    attention_patterns: ClassVar[tuple[str, ...]] = ()

    @nn.compact
    def __call__(
        self, story: Int[Array, "n s w"], question: Int[Array, "n v"], *, train: bool = False
    ) -> Float[Array, "n answers"]:
        """Map words of sentences and of questions to logits of answers.

        Args:
            story: The words of each sentence, padded with zeros.
            question: The words of the question, padded with zeros.
            train: Ignored.

        Raises:
            ValueError: If a size is not filled in.
        """
        num_answers = filled(self, "num_answers")
        embed = nn.Embed(filled(self, "vocabulary"), self.features, name="embed")
        asked = _summed(embed, question)
        if self.kind == "bag":
            read = _summed(embed, story).sum(1)
        else:
            sentences = nn.Dense(self.features, name="sentence")(
                (embed(story) * (story != 0)[..., None]).reshape(*story.shape[:2], -1)
            )
            inputs = jnp.concatenate(
                [sentences, jnp.broadcast_to(asked[:, None], sentences.shape)], axis=-1
            )
            states = nn.RNN(nn.OptimizedLSTMCell(self.features), name="recurrent")(inputs)
            read = jnp.asarray(states)[:, -1]
        hidden = nn.relu(nn.Dense(self.features)(jnp.concatenate([read, asked], axis=-1)))
        return nn.Dense(num_answers, name="head")(hidden)


def _summed(embed: nn.Module, words: jax.Array) -> jax.Array:
    return (embed(words) * (words != 0)[..., None]).sum(-2)
