"""A recurrent translator: its attention is where it looks before it writes a word."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from attn_jax.models.recurrent.decoders import BahdanauDecoder, Memory
from attn_jax.models.recurrent.encoder import BidirectionalEncoder
from attn_jax.models.sizes import filled


class RecurrentTranslator(nn.Module):
    """Read a sentence in both directions, and write another, looking back before each word.

    Its attention has the hook points of `decoder.attention`.

    Attributes:
        encoder: From embedded tokens and their number to states.
        decoder: :class:`BahdanauDecoder` or :class:`LuongDecoder`, with a single-head attention.
        embedding_dim: Features of an embedded token.
        dropout_rate: The share of embedded tokens' features, and of what a token is told from,
            dropped in training.
        source_vocabulary: How many tokens there are; filled from the task.
        target_vocabulary: How many tokens there are; filled from the task.
        pad: The token that fills up.
        begin: The token before the first.
        end: The token after the last.

    Example:
        >>> model = RecurrentTranslator(source_vocabulary=11, target_vocabulary=13)
        >>> source, target = jnp.array([[4, 5, 6, 0]]), jnp.array([[7, 8, 2]])
        >>> variables = model.init(jax.random.key(0), source, target)
        >>> model.apply(variables, source, target).shape
        (1, 3, 13)
    """

    encoder: nn.Module = BidirectionalEncoder()
    decoder: nn.Module = BahdanauDecoder()
    embedding_dim: int = 128
    dropout_rate: float = 0.0
    source_vocabulary: int | None = None
    target_vocabulary: int | None = None
    pad: int = 0
    begin: int = 1
    end: int = 2
    looks_by: ClassVar[str] = "decoder*attention.weights"

    def setup(self) -> None:
        """Name the parts."""
        self.source_embedding = nn.Embed(filled(self, "source_vocabulary"), self.embedding_dim)
        self.target_embedding = nn.Embed(filled(self, "target_vocabulary"), self.embedding_dim)
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
        embedded = self.dropout(self.target_embedding(before), deterministic=not train)
        memory, state = self._read(source, train=train)
        told = self.decoder(memory, state, embedded, deterministic=not train)
        return self.dropout(told, deterministic=not train)

    def start(self, source: Int[Array, "n s"], max_length: int) -> tuple[Memory, Any]:
        """Read sentences that shall be translated.

        Args:
            source: Padded at the end.
            max_length: The most tokens that will be written; needs no room here.

        Returns:
            What every step needs of the source, and the first state.
        """
        del max_length
        return self._read(source, train=False)

    def step(
        self, memory: Memory, state: Any, token: Int[Array, " n"], at: int | Int[Array, ""]
    ) -> tuple[Any, Float[Array, "n v"]]:
        """Write one token.

        Args:
            memory: As from `start`.
            state: Of the step before.
            token: Written last; `begin` at first.
            at: How many were written before; it stands in the state here.

        Returns:
            The new state, and logits.
        """
        del at
        state, told = self.decoder.step(memory, state, self.target_embedding(token))
        return state, self.head(told)

    @nn.nowrap
    def name_weights(self, captured: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """From captured weights, by steps where they were captured step by step, to `(n,h,t,s)`."""
        ((name, weights),) = captured.items()
        name = name.replace("*.", "")
        if weights.ndim > 3:
            weights = jnp.moveaxis(weights[..., 0, :], 0, -2)
        return {name: weights[:, None]}

    def _read(self, source: jax.Array, *, train: bool) -> tuple[Memory, Any]:
        real = source != self.pad
        embedded = self.dropout(self.source_embedding(source), deterministic=not train)
        encoded = self.encoder(embedded, real.sum(axis=-1))
        encoded = jnp.where(real[..., None], encoded, 0)
        return self.decoder.start(encoded, real[:, None])
