"""A Transformer for translation, whose decoder layers all attend to the source."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from attn_jax.models.sizes import filled
from attn_jax.models.transformer.layers import Cache, DecoderLayer, EncoderLayer
from attn_jax.renames import renamed_arguments

_CACHED = {"in_axes": (1, 1, nn.broadcast, nn.broadcast), "out_axes": 1}


class TransformerDecoder(nn.Module):
    """Layers that attend to the target so far and to the source, run as one scan.

    Attributes:
        num_layers: The number of layers, whose parameters are stacked.
        num_heads: The heads of each attention.
        hidden_dim: The hidden units of the feed-forward network.
        dropout_rate: The fraction dropped in training of what each part adds.
    """

    num_layers: int = 2
    num_heads: int = 4
    hidden_dim: int = 512
    dropout_rate: float = 0.0

    def setup(self) -> None:
        """Create the submodules."""
        shared = {
            "variable_axes": {"params": 0},
            "split_rngs": {"params": True, "dropout": True},
            "length": self.num_layers,
        }
        methods = {
            "__call__": {"in_axes": nn.broadcast},
            "start": {"in_axes": nn.broadcast, "out_axes": 1},
            "step": _CACHED,
        }
        stacked = nn.scan(DecoderLayer, methods={n: shared | m for n, m in methods.items()})
        self.layers = stacked(self.num_heads, self.hidden_dim, self.dropout_rate)
        self.norm = nn.LayerNorm()

    def __call__(
        self, x: jax.Array, encoded: jax.Array, mask: jax.Array, deterministic: bool
    ) -> jax.Array:
        """Transform all target tokens at once."""
        return self.norm(self.layers(x, encoded, mask, deterministic)[0])

    def start(self, encoded: jax.Array) -> Cache:
        """Return the keys and values of the source in every layer, `(n, layers, s, h, d)`."""
        return self.layers.start(None, encoded)[1]

    def step(
        self, x: jax.Array, source: Cache, target: Cache, mask: jax.Array, position: jax.Array
    ) -> tuple[jax.Array, Cache]:
        """Transform one token; both caches are `(n, layers, tokens, h, d)`."""
        x, target = self.layers.step(x, source, target, mask, position)
        return self.norm(x), target


class TransformerEncoder(nn.Module):
    """Layers of self-attention over the source, run as one scan.

    Attributes:
        num_layers: The number of layers, whose parameters are stacked.
        num_heads: The heads of each attention.
        hidden_dim: The hidden units of the feed-forward network.
        dropout_rate: The fraction dropped in training of what each part adds.
    """

    num_layers: int = 2
    num_heads: int = 4
    hidden_dim: int = 512
    dropout_rate: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, deterministic: bool) -> jax.Array:
        """Transform all source tokens."""
        stacked = nn.scan(
            EncoderLayer,
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=nn.broadcast,  # pyright: ignore[reportArgumentType]
            length=self.num_layers,
        )
        layers = stacked(self.num_heads, self.hidden_dim, self.dropout_rate, name="layers")
        return nn.LayerNorm()(layers(x, mask, deterministic)[0])


class TransformerTranslator(nn.Module):
    """A pre-norm Transformer encoder and decoder with sinusoidal positions.

    The hook points of its attentions are those of `encoder.layers.*.self_attention`,
    `decoder.layers.*.self_attention` and `decoder.layers.*.cross_attention`.

    Attributes:
        features: The features of a token.
        num_layers: The layers of the encoder, and those of the decoder.
        num_heads: The heads of each attention.
        hidden_dim: The hidden units of each feed-forward network.
        dropout_rate: The fraction dropped in training of embedded tokens and of what each part
            adds.
        source_vocabulary: The number of source tokens; filled in from the task.
        target_vocabulary: The number of target tokens; filled in from the task.
        pad: The padding token.
        begin: The token before the first.
        end: The token after the last.
        alignment_pattern: The hook points whose weights align the target with the source.

    Example:
        >>> model = TransformerTranslator(source_vocabulary=11, target_vocabulary=13)
        >>> source, target = jnp.array([[4, 5, 6, 0]]), jnp.array([[7, 8, 2]])
        >>> variables = model.init(jax.random.key(0), source, target)
        >>> model.apply(variables, source, target).shape
        (1, 3, 13)

    References:
        Vaswani et al., "Attention Is All You Need", 2017. https://arxiv.org/abs/1706.03762
    """

    features: int = 128
    num_layers: int = 2
    num_heads: int = 4
    hidden_dim: int = 512
    dropout_rate: float = 0.0
    source_vocabulary: int | None = None
    target_vocabulary: int | None = None
    pad: int = 0
    begin: int = 1
    end: int = 2
    alignment_pattern: ClassVar[str] = "decoder.layers.*.cross_attention.weights"

    def setup(self) -> None:
        """Create the submodules."""
        layers = (self.num_layers, self.num_heads, self.hidden_dim, self.dropout_rate)
        self.source_embedding = nn.Embed(filled(self, "source_vocabulary"), self.features)
        self.target_embedding = nn.Embed(filled(self, "target_vocabulary"), self.features)
        self.encoder = TransformerEncoder(*layers)
        self.decoder = TransformerDecoder(*layers)
        self.dropout = nn.Dropout(self.dropout_rate)
        self.head = nn.Dense(filled(self, "target_vocabulary"))

    def __call__(
        self, source: Int[Array, "n s"], target: Int[Array, "n t"], *, train: bool = False
    ) -> Float[Array, "n t v"]:
        """Predict each target token from the source and the target tokens before it.

        Args:
            source: Source tokens, padded at the end.
            target: Target tokens, with the end token, padded; the model shifts them.
            train: Turns dropout on; then give `rngs={"dropout": rng}`.

        Returns:
            Logits.

        Raises:
            ValueError: If the size of a vocabulary is not filled in.
        """
        return self.head(self.decode_features(source, target, train=train))

    def decode_features(
        self, source: Int[Array, "n s"], target: Int[Array, "n t"], *, train: bool = False
    ) -> Float[Array, "n t r"]:
        """Return the features from which the last layer, `head`, predicts each target token.

        Args:
            source: Source tokens, padded at the end.
            target: Target tokens, with the end token, padded; the model shifts them.
            train: Turns dropout on.
        """
        previous = jnp.pad(target[:, :-1], ((0, 0), (1, 0)), constant_values=self.begin)
        x = self._add_positions(
            self.target_embedding(previous), jnp.arange(previous.shape[1]), train
        )
        encoded, mask = self._encode(source, train)
        return self.decoder(x, encoded, mask, not train)

    def start(self, source: Int[Array, "n s"], max_length: int) -> tuple[Cache, Cache]:
        """Encode the sentences to translate.

        Args:
            source: Source tokens, padded at the end.
            max_length: The most tokens to write.

        Returns:
            The memory of the source, and an empty cache for the target.
        """
        encoded, mask = self._encode(source, train=False)
        cache = self.decoder.start(encoded)
        n, layers, _, *heads = cache["key"].shape
        empty = jnp.zeros((n, layers, max_length, *heads), encoded.dtype)
        return cache | {"mask": mask}, {"key": empty, "value": empty}

    @renamed_arguments(at="position")
    def step(
        self, memory: Cache, state: Cache, token: Int[Array, " n"], position: int | Int[Array, ""]
    ) -> tuple[Cache, Float[Array, "n v"]]:
        """Take one decoding step.

        Args:
            memory: The memory that `start` returned.
            state: The state after the previous step.
            token: The previous token of each sentence; `begin` at first.
            position: The number of tokens written before.

        Returns:
            The new state, and the logits.
        """
        position = jnp.asarray(position)
        embedded = self.target_embedding(token)[:, None]
        x = self._add_positions(embedded, position[None], train=False)[:, 0]
        source = {name: memory[name] for name in ("key", "value")}
        x, state = self.decoder.step(x, source, state, memory["mask"], position)
        return state, self.head(x)

    @nn.nowrap
    def name_weights(self, captured: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """Split captured weights, stacked over the layers, into `(n, h, t, s)` by layer name."""
        return {
            name.replace("*", str(layer)): weights
            for name, stacked in captured.items()
            for layer, weights in enumerate(stacked)
        }

    def _encode(self, source: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        mask = (source != self.pad)[:, None, None]
        embedded = self.source_embedding(source)
        x = self._add_positions(embedded, jnp.arange(source.shape[1]), train)
        return self.encoder(x, mask, not train), mask

    def _add_positions(self, embedded: jax.Array, position: jax.Array, train: bool) -> jax.Array:
        encoding = sinusoidal_positions(position, self.features)
        # Embedded features have a variance of 1/d and the encoding 1/2: scaled, neither drowns.
        x = embedded * self.features**0.5 + encoding[None]
        return self.dropout(x, deterministic=not train)


def sinusoidal_positions(position: Int[Array, " t"], features: int) -> Float[Array, "t d"]:
    r"""Encode positions by sines and cosines of wavelengths from :math:`2\pi` up.

    .. math:: p_{t,2i} = \sin(t / 10000^{2i/d}), \qquad p_{t,2i+1} = \cos(t / 10000^{2i/d})

    Args:
        position: The positions t.
        features: The number of features d, which must be even.

    Example:
        >>> sinusoidal_positions(jnp.array([0]), 4).tolist()
        [[0.0, 1.0, 0.0, 1.0]]

    References:
        Vaswani et al., "Attention Is All You Need", 2017, section 3.5.
        https://arxiv.org/abs/1706.03762
    """
    frequencies = 10_000.0 ** (-jnp.arange(0, features, 2) / features)
    angle = jnp.outer(position.astype(jnp.float32), frequencies)
    return jnp.stack([jnp.sin(angle), jnp.cos(angle)], axis=-1).reshape(len(position), features)
