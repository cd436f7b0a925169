"""Summarizers: encoder, decoder with coverage, and words written or copied."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from attn_jax.models.recurrent.encoder import BidirectionalEncoder
from attn_jax.models.sizes import filled
from attn_jax.models.summaries.decoder import CoverageDecoder, Memory, State, Step

_LEAST = 1e-9


class Summarizer(nn.Module):
    """A recurrent encoder and decoder with coverage, which writes words of its vocabulary.

    It can be given to :func:`greedy_decode` and :func:`beam_decode`.

    Attributes:
        encoder: Maps embedded words and the lengths of documents to states.
        decoder: Attends to them, and takes one step for each word.
        embedding_dim: The features of an embedded word, the same in documents and summaries.
        dropout_rate: The fraction of embedded words' features, and of the features for the output
            head, dropped in training.
        vocabulary: The number of words; filled in from the task.
        copies: The most words of a document that the vocabulary does not have, numbered after it;
            filled in from the task.
        pad: The padding token.
        begin: The token before the first.
        end: The token after the last.
        unknown: The token of a word that neither the vocabulary nor the document has.
        alignment_pattern: The hook points of the attention.

    Example:
        >>> model = Summarizer(vocabulary=11, copies=3)
        >>> source, target = jnp.array([[4, 5, 12, 0]]), jnp.array([[7, 8, 2]])
        >>> variables = model.init(jax.random.key(0), source, target)
        >>> model.apply(variables, source, target).shape
        (1, 3, 11)
    """

    encoder: nn.Module = BidirectionalEncoder()
    decoder: nn.Module = CoverageDecoder()
    embedding_dim: int = 128
    dropout_rate: float = 0.3
    vocabulary: int | None = None
    copies: int | None = None
    pad: int = 0
    begin: int = 1
    end: int = 2
    unknown: int = 3
    alignment_pattern: ClassVar[str] = "decoder*attention.weights"

    def setup(self) -> None:
        """Create the submodules."""
        self.embedding = nn.Embed(filled(self, "vocabulary"), self.embedding_dim)
        self.dropout = nn.Dropout(self.dropout_rate)
        self.head = nn.Dense(filled(self, "vocabulary"))

    def __call__(
        self, source: Int[Array, "n s"], target: Int[Array, "n t"], *, train: bool = False
    ) -> Float[Array, "n t v"]:
        """Predict each word of a summary from the document and the words before it.

        Args:
            source: The words of documents, padded at the end.
            target: The words of summaries, with the end token, padded; the model shifts them.
            train: Turns dropout on; then give `rngs={"dropout": rng}`.

        Returns:
            Logits.
        """
        memory, _, steps = self._read(source, target, train=train)
        return self.write(memory, steps, train=train)

    def write(self, memory: Memory, step: Step, *, train: bool = False) -> jax.Array:
        """Return the logits of words, given what a step, or steps, handed over."""
        return self.head(self.dropout(step.features, deterministic=not train))

    def start(self, source: Int[Array, "n s"], max_length: int) -> tuple[Memory, State]:
        """Encode the documents to summarize.

        Args:
            source: The words, padded at the end.
            max_length: The most words to write; unused, for a recurrent state has no cache.
        """
        del max_length
        return self._encode(source, train=False)

    def step(
        self, memory: Memory, state: State, token: Int[Array, " n"], position: int | jax.Array
    ) -> tuple[State, Float[Array, "n v"]]:
        """Take one decoding step, which never writes that a word is unknown.

        Args:
            memory: The memory that `start` returned.
            state: The state after the step before.
            token: The word before; `begin` at first.
            position: The number of words written before; unused, for the state implies it.
        """
        del position
        state, step = self.decoder.advance(memory, state, self._embed(token))
        logits = self.write(memory, step)
        return state, logits.at[:, self.unknown].set(-jnp.inf)

    def predict(
        self, source: Int[Array, "n s"], target: Int[Array, "n t"], word: Int[Array, " n"]
    ) -> Float[Array, "n v"]:
        """Predict one word of each summary, whose own attention is a hook point by itself.

        The steps before it run as in training. Their attention is under `decoder.*.attention`, and
        that of the step that predicts the word under `decoder.attention`.

        Args:
            source: The words of documents, padded at the end.
            target: The words of summaries, with the end token, padded.
            word: The index of the word to predict.
        """
        memory, states, _ = self._read(source, target, train=False)
        rows = jnp.arange(len(source))
        state = jax.tree.map(lambda each: each[rows, word], states)
        before = jnp.where(word > 0, target[rows, word - 1], self.begin)
        _, step = self.decoder.advance(memory, state, self._embed(before))
        return self.write(memory, step)

    @nn.nowrap
    def name_weights(self, captured: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """Name captured weights and give them the axes `(n, 1, t, s)`.

        Args:
            captured: Weights by hook point, with the steps first where they ran in a loop.
        """
        ((name, weights),) = captured.items()
        if weights.ndim > 3:
            weights = jnp.moveaxis(weights[..., 0, :], 0, -2)
        return {name.replace("*.", ""): weights[:, None]}

    def _embed(self, tokens: jax.Array, *, train: bool = False) -> jax.Array:
        known = jnp.where(tokens < self.embedding.num_embeddings, tokens, self.unknown)
        return self.dropout(self.embedding(known), deterministic=not train)

    def _encode(self, source: jax.Array, *, train: bool) -> tuple[Memory, State]:
        exists = source != self.pad
        encoded = self.encoder(self._embed(source, train=train), exists.sum(axis=-1))
        return self.decoder.start(source, jnp.where(exists[..., None], encoded, 0), exists)

    def _read(
        self, source: jax.Array, target: jax.Array, *, train: bool
    ) -> tuple[Memory, State, Step]:
        """Take all steps; return the memory, and the state before and the output of each."""
        memory, first = self._encode(source, train=train)
        previous = jnp.pad(target[:, :-1], ((0, 0), (1, 0)), constant_values=self.begin)

        def take(decoder: Any, state: State, word: jax.Array) -> tuple[State, tuple[State, Step]]:
            new, step = decoder.advance(memory, state, word)
            return new, (state, step)

        scan = nn.scan(
            take,
            variable_broadcast="params",
            split_rngs={"params": False},
            in_axes=1,
            out_axes=1,
        )
        _, (states, steps) = scan(self.decoder, first, self._embed(previous, train=train))
        return memory, states, steps


class PointerGenerator(Summarizer):
    r"""A summarizer that at each step writes a word of its vocabulary or copies one.

    .. math:: P(w) = p_t \operatorname{softmax}(z)_w + (1 - p_t) \sum_{i: w_i = w} a_{ti}

    Its logits are logarithms of these probabilities. Behind those of the vocabulary they have the
    unknown words of the document.

    Example:
        >>> model = PointerGenerator(vocabulary=11, copies=3)
        >>> source, target = jnp.array([[4, 5, 12, 0]]), jnp.array([[7, 12, 2]])
        >>> variables = model.init(jax.random.key(0), source, target)
        >>> probabilities = jnp.exp(model.apply(variables, source, target))
        >>> probabilities.shape, round(float(probabilities[0, 0].sum()), 4)
        ((1, 3, 14), 1.0)

    References:
        See, Liu and Manning, "Get To The Point: Summarization with Pointer-Generator Networks",
        2017, section 2.2, equation 9. https://arxiv.org/abs/1704.04368
    """

    def write(self, memory: Memory, step: Step, *, train: bool = False) -> jax.Array:
        """Return the logarithms of the probabilities of words, written or copied."""
        written = jax.nn.softmax(super().write(memory, step, train=train))
        gate = jax.nn.sigmoid(step.gate)[..., None]
        copied = _by_word(step.weights, memory.tokens, self.head.features + filled(self, "copies"))
        padding = [(0, 0)] * (written.ndim - 1) + [(0, filled(self, "copies"))]
        return jnp.log(jnp.pad(gate * written, padding) + (1 - gate) * copied + _LEAST)


def _by_word(weights: jax.Array, tokens: jax.Array, words: int) -> jax.Array:
    """Sum the weights of the places of each word: (n, ..., s) to (n, ..., words)."""

    def add(weights: jax.Array, tokens: jax.Array) -> jax.Array:
        return jnp.zeros((*weights.shape[:-1], words)).at[..., tokens].add(weights)

    return jax.vmap(add)(weights, tokens)
