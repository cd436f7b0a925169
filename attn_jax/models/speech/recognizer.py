"""Recognizers that attend to the sound before they write each word."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from attn_jax.models.sizes import filled
from attn_jax.models.speech.encoder import SpeechEncoder
from attn_jax.nn import LocationSensitiveAttention


class Memory(NamedTuple):
    """What a decoder attends to.

    Attributes:
        states: The states of the sound, (n, states, d).
        exists: Which of them exist, (n, states).
    """

    states: jax.Array
    exists: jax.Array


class ListeningDecoder(nn.Module):
    r"""A decoder whose attention knows where it looked at the step before.

    .. math:: \alpha_i = \operatorname{attend}(s_{i-1}, \alpha_{i-1}), \qquad
              c_i = \sum_j \alpha_{ij} h_j, \qquad s_i = f(s_{i-1}, [y_{i-1}; c_i])

    :math:`y_{i-1}` is the word before, embedded. The next word is predicted from :math:`s_i` and
    :math:`c_i`.

    Attributes:
        attention: A single-head attention that returns its weights, and takes those of the step
            before as `state`.
        features: The features of the state.

    References:
        Chorowski et al., "Attention-Based Models for Speech Recognition", 2015, section 2.1.
        https://arxiv.org/abs/1506.07503
    """

    attention: nn.Module = LocationSensitiveAttention(hidden_dim=96, filter_width=11)
    features: int = 128

    def setup(self) -> None:
        """Create the submodules."""
        self.recurrence = nn.GRUCell(self.features)
        self.join = nn.Dense(self.features)

    def start(self, memory: Memory) -> tuple[jax.Array, jax.Array]:
        """Return the state before the first word, and weights as if it had looked at the start."""
        n, states, _ = memory.states.shape
        first = jnp.broadcast_to(jnp.arange(states) == 0, (n, 1, states))
        return jnp.zeros((n, self.features)), first.astype(jnp.float32)

    def advance(
        self, memory: Memory, state: tuple[jax.Array, jax.Array], embedded: Float[Array, "n e"]
    ) -> tuple[tuple[jax.Array, jax.Array], Float[Array, "n r"]]:
        """Take one step.

        Args:
            memory: What it attends to.
            state: The state, and the weights of the step before.
            embedded: The word before, embedded.

        Returns:
            The new state, and the features for the output head.
        """
        hidden, weights = state
        context, weights = self.attention(
            hidden[:, None], memory.states, memory.states, state=weights, key_mask=memory.exists
        )
        hidden, _ = self.recurrence(hidden, jnp.concatenate([embedded, context[:, 0]], -1))
        features = nn.relu(self.join(jnp.concatenate([hidden, context[:, 0]], -1)))
        return (hidden, weights), features


class SpeechRecognizer(nn.Module):
    """An encoder of spectrograms, and a decoder that attends to its states at each word.

    Attributes:
        encoder: Maps spectrograms to states.
        decoder: Attends to them, and takes one step for each word.
        embedding_dim: The features of an embedded word.
        dropout_rate: The fraction of the features for the output head dropped in training.
        vocabulary: The number of words; filled in from the task.
        begin: The token before the first word.
        end: The token after the last.
        pattern: The hook points of the attention.

    Example:
        >>> model, mel = SpeechRecognizer(vocabulary=7), jnp.ones((2, 16, 5))
        >>> frames, target = jnp.array([16, 7]), jnp.array([[4, 5, 2], [6, 2, 0]])
        >>> variables = model.init(jax.random.key(0), mel, frames, target)
        >>> model.apply(variables, mel, frames, target).shape
        (2, 3, 7)
    """

    encoder: nn.Module = SpeechEncoder(halvings=3, dilations=(1, 2))
    decoder: nn.Module = ListeningDecoder()
    embedding_dim: int = 64
    dropout_rate: float = 0.1
    vocabulary: int | None = None
    begin: int = 1
    end: int = 2
    pattern: ClassVar[str] = "decoder*attention.weights"

    def setup(self) -> None:
        """Create the submodules."""
        self.embedding = nn.Embed(filled(self, "vocabulary"), self.embedding_dim)
        self.dropout = nn.Dropout(self.dropout_rate)
        self.head = nn.Dense(filled(self, "vocabulary"))

    def __call__(
        self,
        mel: Float[Array, "n frames mels"],
        frames: Int[Array, " n"],
        target: Int[Array, "n t"],
        *,
        train: bool = False,
    ) -> Any:
        """Predict each word from the sound and the words before it.

        Args:
            mel: Spectrograms, padded at the end.
            frames: The number of frames of each.
            target: The words, with the end token, padded; the model shifts them.
            train: Turns dropout on; then give `rngs={"dropout": rng}`.

        Returns:
            Logits, `(n, t, v)`.
        """
        return self.read(self.listen(mel, frames, train=train), target, train=train)[0]

    def listen(self, mel: jax.Array, frames: jax.Array, *, train: bool = False) -> Memory:
        """Encode spectrograms."""
        return Memory(*self.encoder(mel, frames, train=train))

    def read(
        self, memory: Memory, target: Int[Array, "n t"], *, train: bool = False
    ) -> tuple[Float[Array, "n t v"], Any]:
        """Return the logits of each word, and the states before each step, steps first."""
        previous = jnp.pad(target[:, :-1], ((0, 0), (1, 0)), constant_values=self.begin)

        def step(model: "SpeechRecognizer", state: Any, word: jax.Array) -> tuple[Any, Any]:
            new, features = model.decoder.advance(memory, state, model.embedding(word))
            return new, (state, features)

        scan = nn.scan(step, variable_broadcast="params", split_rngs={"params": False}, in_axes=1)
        _, (states, features) = scan(self, self.decoder.start(memory), previous)
        features = self.dropout(features.swapaxes(0, 1), deterministic=not train)
        return self.head(features), states

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

        def step(model: "SpeechRecognizer", carry: Any, _: None) -> tuple[Any, jax.Array]:
            state, word = carry
            state, features = model.decoder.advance(memory, state, model.embedding(word))
            word = model.head(features).argmax(-1).astype(jnp.int32)
            return (state, word), word

        scan = nn.scan(step, variable_broadcast="params", split_rngs={"params": False}, length=most)
        first = jnp.full(len(mel), self.begin, jnp.int32)
        _, words = scan(self, (self.decoder.start(memory), first), None)
        return words.T

    def predict(
        self,
        mel: Float[Array, "n frames mels"],
        frames: Int[Array, " n"],
        target: Int[Array, "n t"],
        word: Int[Array, " n"],
    ) -> Float[Array, "n v"]:
        """Predict one word of each utterance, whose own attention is a hook point by itself.

        The steps before it run as in training. Their attention is under `decoder.*.attention`, and
        that of the step that predicts the word under `decoder.attention`.

        Args:
            mel: Spectrograms, padded at the end.
            frames: The number of frames of each.
            target: The words, with the end token, padded.
            word: The index of the word to predict.
        """
        memory = self.listen(mel, frames)
        _, states = self.read(memory, target)
        rows = jnp.arange(len(mel))
        state = jax.tree.map(lambda each: each[word, rows], states)
        before = jnp.where(word > 0, target[rows, word - 1], self.begin)
        _, features = self.decoder.advance(memory, state, self.embedding(before))
        return self.head(features)


class JointRecognizer(SpeechRecognizer):
    """A recognizer whose encoder also learns to name words at each state, without attention.

    It returns `(logits, (CTC logits, which states exist))`.

    References:
        Kim, Hori and Watanabe, "Joint CTC-Attention based End-to-End Speech Recognition using
        Multi-task Learning", 2017. https://arxiv.org/abs/1609.06773
    """

    def setup(self) -> None:
        """Create the submodules."""
        super().setup()
        self.branch = nn.Dense(filled(self, "vocabulary"))

    def __call__(
        self,
        mel: Float[Array, "n frames mels"],
        frames: Int[Array, " n"],
        target: Int[Array, "n t"],
        *,
        train: bool = False,
    ) -> tuple[Float[Array, "n t v"], tuple[Float[Array, "n states v"], Bool[Array, "n states"]]]:
        """Predict each word from the sound and the words before it, and at each state."""
        memory = self.listen(mel, frames, train=train)
        logits, _ = self.read(memory, target, train=train)
        return logits, (self.branch(memory.states), memory.exists)
