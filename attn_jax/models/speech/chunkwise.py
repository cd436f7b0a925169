"""A recognizer that moves through the sound from left to right, and attends to chunks."""

from typing import Any, ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from attn_jax import ops
from attn_jax.models.speech.recognizer import Memory, SpeechRecognizer
from attn_jax.nn import MochaAttention


class ChunkwiseDecoder(nn.Module):
    """A decoder that remembers the words before, and attends where its reader stops for the next.

    Its state does not depend on what it attended to; the reader, which only moves forward, does.

    Attributes:
        attention: :class:`attn_jax.nn.MochaAttention`.
        features: The features of the state.
    """

    attention: nn.Module = MochaAttention(width=4, hidden_dim=96, offset=-2.0, noise=2.0)
    features: int = 128

    @nn.compact
    def __call__(
        self, memory: Memory, embedded: Float[Array, "n t e"], *, train: bool = False
    ) -> Float[Array, "n t r"]:
        """Return the features for the output head, at each step.

        Args:
            memory: What it attends to.
            embedded: The word before each step, embedded.
            train: Turns the reader's noise on; then give `rngs={"noise": rng}`.
        """
        hidden = jnp.asarray(nn.RNN(nn.GRUCell(self.features))(embedded))
        context = self.attention(
            hidden,
            memory.states,
            memory.states,
            key_mask=memory.exists,
            deterministic=not train,
        )
        return nn.relu(nn.Dense(self.features)(jnp.concatenate([hidden, context], -1)))


class ChunkwiseRecognizer(SpeechRecognizer):
    """A recognizer with monotonic chunkwise attention.

    It learns with a soft reader, which may stop at several states with some probability each, and
    decodes with a hard one, which reads every state once: see `hardened`.

    Attributes:
        pattern: The hook points of the attention.

    Example:
        >>> import jax
        >>> model, mel = ChunkwiseRecognizer(vocabulary=7), jnp.ones((2, 16, 5))
        >>> frames, target = jnp.array([16, 7]), jnp.array([[4, 5, 2], [6, 2, 0]])
        >>> variables = model.init(jax.random.key(0), mel, frames, target)
        >>> model.hardened().apply(variables, mel, frames, target).shape
        (2, 3, 7)

    References:
        Chiu and Raffel, "Monotonic Chunkwise Attention", 2018. https://arxiv.org/abs/1712.05382
    """

    decoder: nn.Module = ChunkwiseDecoder()
    pattern: ClassVar[str] = "decoder.attention.weights"

    def read(
        self, memory: Memory, target: Int[Array, "n t"], *, train: bool = False
    ) -> tuple[Float[Array, "n t v"], Any]:
        """Return the logits of each word, and no states."""
        previous = jnp.pad(target[:, :-1], ((0, 0), (1, 0)), constant_values=self.begin)
        features = self.decoder(memory, self.embedding(previous), train=train)
        return self.head(self.dropout(features, deterministic=not train)), None

    def write(
        self, mel: Float[Array, "n frames mels"], frames: Int[Array, " n"], most: int
    ) -> Int[Array, "n most"]:
        """Write the likeliest word at each step.

        Args:
            mel: Spectrograms, padded at the end.
            frames: The number of frames of each.
            most: The number of steps.

        Returns:
            The words; what follows an end token means nothing.
        """
        memory = self.listen(mel, frames)
        words = jnp.zeros((len(mel), most), jnp.int32)
        for step in range(most):
            logits, _ = self.read(memory, words)
            words = words.at[:, step].set(logits[:, step].argmax(-1).astype(jnp.int32))
        return words

    def predict(
        self,
        mel: Float[Array, "n frames mels"],
        frames: Int[Array, " n"],
        target: Int[Array, "n t"],
        word: Int[Array, " n"],
    ) -> Float[Array, "n v"]:
        """Predict one word of each utterance.

        Args:
            mel: Spectrograms, padded at the end.
            frames: The number of frames of each.
            target: The words, with the end token, padded.
            word: The index of the word to predict.
        """
        logits, _ = self.read(self.listen(mel, frames), target)
        return jnp.take_along_axis(logits, word[:, None, None], 1)[:, 0]

    @nn.nowrap
    def hardened(self) -> "ChunkwiseRecognizer":
        """Return the model for the same parameters whose reader stops at one state for a word."""
        attention = self.decoder.attention.clone(normalizer=ops.hard_monotonic)
        return self.clone(decoder=self.decoder.clone(attention=attention))
