"""Classifiers of texts: recurrent with attention pooling, and a Transformer."""

from typing import ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from attn_jax.models.recurrent.encoder import BidirectionalEncoder
from attn_jax.models.sizes import filled
from attn_jax.models.transformer.translator import TransformerEncoder, sinusoidal_positions
from attn_jax.nn import AdditiveAttention, AttentionPooling


class RecurrentClassifier(nn.Module):
    """A bidirectional LSTM whose states are pooled by attention and classified.

    The weights of `pooling.attention` show which words' states it takes; a state also knows the
    words around its own.

    Attributes:
        embedding_dim: The features of an embedded word.
        encoder: Maps embedded words and the lengths of texts to states.
        attention: Any attention of `attn_jax.nn` with a learned query.
        dropout_rate: The fraction of embedded words' features, and of pooled ones, dropped in
            training.
        vocabulary: The number of words; filled in from the task. Word 0 is padding.
        num_classes: The number of classes; filled in from the task.
        attention_pattern: The hook points of the attention that reads the text.
        added_tokens: The number of tokens that the model puts before the text.

    Example:
        >>> model = RecurrentClassifier(vocabulary=11, num_classes=3)
        >>> tokens = jnp.array([[4, 5, 6, 0]])
        >>> model.apply(model.init(jax.random.key(0), tokens), tokens).shape
        (1, 3)

    References:
        Jain and Wallace, "Attention is not Explanation", 2019, section 3.
        https://arxiv.org/abs/1902.10186
    """

    embedding_dim: int = 64
    encoder: nn.Module = BidirectionalEncoder(features=64, cell="lstm")
    attention: nn.Module = AdditiveAttention(hidden_dim=64)
    dropout_rate: float = 0.1
    vocabulary: int | None = None
    num_classes: int | None = None
    attention_pattern: ClassVar[str] = "pooling.attention.weights"
    added_tokens: ClassVar[int] = 0

    @nn.compact
    def __call__(self, tokens: Int[Array, "n k"], *, train: bool = False) -> Float[Array, "n c"]:
        """Map words `(n, k)` to logits `(n, num_classes)`.

        Args:
            tokens: The numbers of the words, padded with zeros at the end.
            train: Turns dropout on; then give `rngs={"dropout": rng}`.

        Raises:
            ValueError: If a size is not filled in.
        """
        num_classes = filled(self, "num_classes")
        dropout = nn.Dropout(self.dropout_rate, deterministic=not train)
        exists = tokens != 0
        embedded = nn.Embed(filled(self, "vocabulary"), self.embedding_dim, name="embed")(tokens)
        states = self.encoder(dropout(embedded), exists.sum(-1))
        pooled = AttentionPooling(self.attention, name="pooling")(
            states, key_mask=exists, deterministic=not train
        )
        return nn.Dense(num_classes, name="head")(dropout(pooled))


class TransformerClassifier(nn.Module):
    """A Transformer encoder that classifies by the last state of a token before the text.

    Attributes:
        features: The features of a token.
        num_layers: The number of layers.
        num_heads: The heads of each attention.
        hidden_dim: The hidden units of each feed-forward network.
        dropout_rate: The fraction dropped in training of embedded tokens and of what each part
            adds.
        vocabulary: The number of words; filled in from the task. Word 0 is padding.
        num_classes: The number of classes; filled in from the task.
        attention_pattern: The hook points of the layers' attention, of which the first query is
            the token before the text.
        added_tokens: The number of tokens that the model puts before the text.

    Example:
        >>> model = TransformerClassifier(vocabulary=11, num_classes=3)
        >>> tokens = jnp.array([[4, 5, 6, 0]])
        >>> model.apply(model.init(jax.random.key(0), tokens), tokens).shape
        (1, 3)

    References:
        The token before the text: Devlin et al., "BERT", 2019, section 3.
        https://arxiv.org/abs/1810.04805
    """

    features: int = 64
    num_layers: int = 2
    num_heads: int = 4
    hidden_dim: int = 128
    dropout_rate: float = 0.0
    vocabulary: int | None = None
    num_classes: int | None = None
    attention_pattern: ClassVar[str] = "encoder.layers.*.self_attention.weights"
    added_tokens: ClassVar[int] = 1

    @nn.compact
    def __call__(self, tokens: Int[Array, "n k"], *, train: bool = False) -> Float[Array, "n c"]:
        """Map words `(n, k)` to logits `(n, num_classes)`.

        Args:
            tokens: The numbers of the words, padded with zeros at the end.
            train: Turns dropout on; then give `rngs={"dropout": rng}`.

        Raises:
            ValueError: If a size is not filled in.
        """
        num_classes = filled(self, "num_classes")
        words = nn.Embed(filled(self, "vocabulary"), self.features, name="embed")(tokens)
        positions = sinusoidal_positions(jnp.arange(tokens.shape[1]), self.features)[None]
        words = words * self.features**0.5 + positions
        first = self.param("first", nn.initializers.normal(1.0), (self.features,), jnp.float32)
        first = jnp.broadcast_to(first, (len(tokens), 1, self.features))
        x = jnp.concatenate([first, words], axis=1)
        mask = jnp.pad(tokens != 0, ((0, 0), (1, 0)), constant_values=True)[:, None, None, :]
        encoder = TransformerEncoder(
            self.num_layers, self.num_heads, self.hidden_dim, self.dropout_rate, name="encoder"
        )
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        return nn.Dense(num_classes, name="head")(encoder(x, mask, not train)[:, 0])
