"""A recurrent translator, which attends to the source before it writes each word."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from attn_jax.models.recurrent.decoders import BahdanauDecoder, Memory
from attn_jax.models.recurrent.encoder import BidirectionalEncoder
from attn_jax.models.sizes import filled
from attn_jax.renames import renamed_arguments


class RecurrentTranslator(nn.Module):
    """A recurrent encoder and a recurrent decoder that attends to its states at each step.

    The hook points of the attention are those of `decoder.attention`.

    Attributes:
        encoder: Maps embedded tokens and the lengths of sentences to states.
        decoder: :class:`BahdanauDecoder` or :class:`LuongDecoder`, with a single-head attention.
        embedding_dim: The features of an embedded token.
        dropout_rate: The fraction of embedded tokens' features, and of the features for the output
            head, dropped in training.
        source_vocabulary: The number of source tokens; filled in from the task.
        target_vocabulary: The number of target tokens; filled in from the task.
        pad: The padding token.
        begin: The token before the first.
        end: The token after the last.
        alignment_pattern: The hook points whose weights align the target with the source.

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
    alignment_pattern: ClassVar[str | tuple[str, ...]] = "decoder*attention.weights"

    def setup(self) -> None:
        """Create the submodules."""
        self.source_embedding = nn.Embed(filled(self, "source_vocabulary"), self.embedding_dim)
        self.target_embedding = nn.Embed(filled(self, "target_vocabulary"), self.embedding_dim)
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
        embedded = self.dropout(self.target_embedding(previous), deterministic=not train)
        memory, state = self._encode(source, train=train)
        features = self.decoder(memory, state, embedded, deterministic=not train)
        return self.dropout(features, deterministic=not train)

    def start(self, source: Int[Array, "n s"], max_length: int) -> tuple[Memory, Any]:
        """Encode the sentences to translate.

        Args:
            source: Source tokens, padded at the end.
            max_length: The most tokens to write; unused, for a recurrent state has no cache.

        Returns:
            The memory of the source, and the first state.
        """
        del max_length
        return self._encode(source, train=False)

    @renamed_arguments(at="position")
    def step(
        self, memory: Memory, state: Any, token: Int[Array, " n"], position: int | Int[Array, ""]
    ) -> tuple[Any, Float[Array, "n v"]]:
        """Take one decoding step.

        Args:
            memory: The memory that `start` returned.
            state: The state after the previous step.
            token: The previous token of each sentence; `begin` at first.
            position: The number of tokens written before; unused, for the state implies it.

        Returns:
            The new state, and the logits.
        """
        del position
        state, features = self.decoder.step(memory, state, self.target_embedding(token))
        return state, self.head(features)

    @nn.nowrap
    def name_weights(self, captured: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """Name captured weights and give them the axes `(n, h, t, s)`.

        Args:
            captured: Weights by hook point, with the steps first where they ran in a loop.
        """
        ((name, weights),) = captured.items()
        name = name.replace("*.", "")
        if weights.ndim > 3:
            weights = jnp.moveaxis(weights[..., 0, :], 0, -2)
        return {name: weights[:, None]}

    def _encode(self, source: jax.Array, *, train: bool) -> tuple[Memory, Any]:
        mask = source != self.pad
        embedded = self.dropout(self.source_embedding(source), deterministic=not train)
        encoded = self.encoder(embedded, mask.sum(axis=-1))
        encoded = jnp.where(mask[..., None], encoded, 0)
        return self.decoder.start(encoded, mask[:, None])
