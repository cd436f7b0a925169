"""A Transformer that translates: every layer looks at the source with several heads."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from attn_jax.models.sizes import filled
from attn_jax.models.transformer.layers import Cache, DecoderLayer, EncoderLayer

_CACHED = {"in_axes": (1, 1, nn.broadcast, nn.broadcast), "out_axes": 1}


class TransformerDecoder(nn.Module):
    """Layers that attend to what was written and to the source, run as one scan.

    Attributes:
        num_layers: Whose parameters are stacked.
        num_heads: Of each attention.
        hidden_dim: Of the feed-forward part.
        dropout_rate: The share of what each part adds that is dropped in training.
    """

    num_layers: int = 2
    num_heads: int = 4
    hidden_dim: int = 512
    dropout_rate: float = 0.0

    def setup(self) -> None:
        """Name the parts."""
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
        """Transform all tokens at once."""
        return self.norm(self.layers(x, encoded, mask, deterministic)[0])

    def start(self, encoded: jax.Array) -> Cache:
        """Keys and values of the source in every layer, `(n, layers, s, h, d)`."""
        return self.layers.start(None, encoded)[1]

    def step(
        self, x: jax.Array, source: Cache, written: Cache, mask: jax.Array, at: jax.Array
    ) -> tuple[jax.Array, Cache]:
        """Transform one token; both caches are `(n, layers, tokens, h, d)`."""
        x, written = self.layers.step(x, source, written, mask, at)
        return self.norm(x), written


class TransformerEncoder(nn.Module):
    """Layers that attend to the whole source, run as one scan.

    Attributes:
        num_layers: Whose parameters are stacked.
        num_heads: Of each attention.
        hidden_dim: Of the feed-forward part.
        dropout_rate: The share of what each part adds that is dropped in training.
    """

    num_layers: int = 2
    num_heads: int = 4
    hidden_dim: int = 512
    dropout_rate: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, deterministic: bool) -> jax.Array:
        """Transform all tokens."""
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
    """Read all of a sentence at once, and write another, looking back in every layer.

    Its attentions have the hook points of `encoder.layers.*.self_attention`,
    `decoder.layers.*.self_attention` and `decoder.layers.*.cross_attention`. Positions are
    sinusoidal; the layers normalise before each part.

    Attributes:
        features: Of a token.
        num_layers: Of the encoder, and of the decoder.
        num_heads: Of each attention.
        hidden_dim: Of the feed-forward parts.
        dropout_rate: The share of embedded tokens, and of what each part adds, dropped in training.
        source_vocabulary: How many tokens there are; filled from the task.
        target_vocabulary: How many tokens there are; filled from the task.
        pad: The token that fills up.
        begin: The token before the first.
        end: The token after the last.

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
    looks_by: ClassVar[str] = "decoder.layers.*.cross_attention.weights"

    def setup(self) -> None:
        """Name the parts."""
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
        """Tell each token of the target from the source and the tokens before it.

        Args:
            source: Padded at the end.
            target: Ended and padded; it is shifted here.
            train: Turns dropout on; then give `rngs={"dropout": rng}`.

        Returns:
            Logits.

        Raises:
            ValueError: If a vocabulary was not filled in.
        """
        return self.head(self.told_from(source, target, train=train))

    def told_from(
        self, source: Int[Array, "n s"], target: Int[Array, "n t"], *, train: bool = False
    ) -> Float[Array, "n t r"]:
        """What the last layer, `head`, tells each token from.

        Args:
            source: Padded at the end.
            target: Ended and padded; it is shifted here.
            train: Turns dropout on.
        """
        before = jnp.pad(target[:, :-1], ((0, 0), (1, 0)), constant_values=self.begin)
        x = self._placed(self.target_embedding(before), jnp.arange(before.shape[1]), train)
        encoded, mask = self._read(source, train)
        return self.decoder(x, encoded, mask, not train)

    def start(self, source: Int[Array, "n s"], max_length: int) -> tuple[Cache, Cache]:
        """Read sentences that shall be translated.

        Args:
            source: Padded at the end.
            max_length: The most tokens that will be written.

        Returns:
            What every step needs of the source, and room for what will be written.
        """
        encoded, mask = self._read(source, train=False)
        read = self.decoder.start(encoded)
        n, layers, _, *heads = read["key"].shape
        room = jnp.zeros((n, layers, max_length, *heads), encoded.dtype)
        return read | {"mask": mask}, {"key": room, "value": room}

    def step(
        self, memory: Cache, state: Cache, token: Int[Array, " n"], at: int | Int[Array, ""]
    ) -> tuple[Cache, Float[Array, "n v"]]:
        """Write one token.

        Args:
            memory: As from `start`.
            state: Of the step before.
            token: Written last; `begin` at first.
            at: How many were written before.

        Returns:
            The new state, and logits.
        """
        at = jnp.asarray(at)
        x = self._placed(self.target_embedding(token)[:, None], at[None], train=False)[:, 0]
        source = {name: memory[name] for name in ("key", "value")}
        x, state = self.decoder.step(x, source, state, memory["mask"], at)
        return state, self.head(x)

    @nn.nowrap
    def name_weights(self, captured: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """From captured weights, all layers of a scan in one, to `(n, h, t, s)` of each."""
        return {
            name.replace("*", str(layer)): weights
            for name, stacked in captured.items()
            for layer, weights in enumerate(stacked)
        }

    def _read(self, source: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        mask = (source != self.pad)[:, None, None]
        x = self._placed(self.source_embedding(source), jnp.arange(source.shape[1]), train)
        return self.encoder(x, mask, not train), mask

    def _placed(self, embedded: jax.Array, position: jax.Array, train: bool) -> jax.Array:
        places = sinusoidal_positions(position, self.features)
        # An embedding's features have a variance of 1/d, and the positions' of 1/2.
        x = embedded * self.features**0.5 + places[None]
        return self.dropout(x, deterministic=not train)


def sinusoidal_positions(position: Int[Array, " t"], features: int) -> Float[Array, "t d"]:
    r"""Tell places by sines and cosines of wavelengths from :math:`2\pi` on.

    .. math:: p_{t,2i} = \sin(t / 10000^{2i/d}), \qquad p_{t,2i+1} = \cos(t / 10000^{2i/d})

    Args:
        position: t.
        features: d, an even number.

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
