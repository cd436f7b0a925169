"""A decoder whose attention knows what it has covered."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from attn_jax import ops
from attn_jax.nn.attention import SingleHead


class Memory(NamedTuple):
    """What a decoder attends to.

    Attributes:
        tokens: The words of the documents, (n, s).
        key: The states of the encoder, projected to the features of the query, (n, s, a).
        value: The states of the encoder, (n, s, d).
        exists: Which of the words exist, (n, s).
    """

    tokens: jax.Array
    key: jax.Array
    value: jax.Array
    exists: jax.Array


class State(NamedTuple):
    """What a step passes to the next.

    Attributes:
        hidden: The state of the cell, (n, a).
        context: The context of the step before, (n, d).
        coverage: The sum of the weights of all steps before, (n, s).
    """

    hidden: jax.Array
    context: jax.Array
    coverage: jax.Array


class Step(NamedTuple):
    """What a step hands to the output.

    Attributes:
        features: The features from which words of the vocabulary are predicted, (n, a).
        weights: The attention, (n, s).
        gate: The logit of writing a word of the vocabulary, not copying one, (n,).
    """

    features: jax.Array
    weights: jax.Array
    gate: jax.Array


class CoverageAttention(SingleHead):
    r"""Additive attention that knows how much attention each key has had.

    .. math:: e_i = v^\top \tanh(W_h h_i + W_s s_t + w_c c_i + b)

    The keys come projected, as :math:`W_h h_i`.

    References:
        See, Liu and Manning, 2017, section 2.3, equation 11.
    """

    @nn.compact
    def __call__(
        self,
        query: Float[Array, "n d_q"],
        key: Float[Array, "n s a"],
        value: Float[Array, "n s d"],
        *,
        coverage: Float[Array, "n s"],
        key_mask: Array,
    ) -> tuple[Float[Array, "n d"], Float[Array, "n s"]]:
        """Attend by one query for each example.

        Args:
            query: The state of the decoder.
            key: The projected states of the encoder.
            value: The states of the encoder.
            coverage: The sum of the weights of all steps before.
            key_mask: Which keys exist.

        Returns:
            The context and the weights.
        """
        query = query[:, None]
        inputs = self.prepare(query, key, value, mask=None, bias=None, key_mask=key_mask)
        a = key.shape[-1]

        def score(query: jax.Array, key: jax.Array) -> jax.Array:
            w_coverage = self.parameter("w_coverage", (1, a), query)
            return ops.additive_scores(
                query,
                key + coverage[..., None] * w_coverage[None],
                w_query=self.parameter("w_query", (query.shape[-1], a), query),
                w_key=None,
                v=self.parameter("v", (a,), query),
                b=self.parameter("b", (a,), query, nn.initializers.zeros),
            )

        context, weights = self.attend(
            inputs, score=score, normalizer=self.normalizer, deterministic=True
        )
        return context[:, 0], weights[:, 0]


class CoverageDecoder(nn.Module):
    r"""Step, then attend with coverage; the context enters the next step.

    .. math:: s_t = f(s_{t-1}, [y_{t-1}; c_{t-1}]), \qquad
              a_t = \operatorname{attend}(s_t, \textstyle\sum_{t' < t} a_{t'}), \qquad
              p_t = \sigma(w_c^\top c_t + w_s^\top s_t + w_y^\top y_{t-1} + b)

    Attributes:
        features: The features of the state.

    References:
        See, Liu and Manning, "Get To The Point: Summarization with Pointer-Generator Networks",
        2017, section 2. https://arxiv.org/abs/1704.04368
    """

    features: int = 128

    def setup(self) -> None:
        """Create the submodules."""
        self.attention = CoverageAttention()
        self.recurrence = nn.GRUCell(self.features)
        self.key = nn.Dense(self.features, use_bias=False)
        self.initial = nn.Dense(self.features)
        self.join = nn.Dense(self.features)
        self.gate = nn.Dense(1)

    def start(
        self, tokens: jax.Array, encoded: Float[Array, "n s d"], exists: jax.Array
    ) -> tuple[Memory, State]:
        """Return the memory of the documents and the state before the first word.

        Args:
            tokens: The words.
            encoded: Both states of the encoder at each word.
            exists: Where there is a word.
        """
        _, backward = jnp.split(encoded[:, 0], 2, axis=-1)
        hidden = jnp.tanh(self.initial(backward))
        state = State(hidden, jnp.zeros_like(encoded[:, 0]), jnp.zeros(tokens.shape))
        return Memory(tokens, self.key(encoded), encoded, exists), state

    def advance(
        self, memory: Memory, state: State, embedded: Float[Array, "n e"]
    ) -> tuple[State, Step]:
        """Take one step.

        Args:
            memory: What it attends to.
            state: The state after the step before.
            embedded: The word before, embedded.
        """
        inputs = jnp.concatenate([embedded, state.context], -1)
        hidden, _ = self.recurrence(state.hidden, inputs)
        context, weights = self.attention(
            hidden, memory.key, memory.value, coverage=state.coverage, key_mask=memory.exists
        )
        features = self.join(jnp.concatenate([hidden, context], -1))
        gate = self.gate(jnp.concatenate([context, hidden, embedded], -1))[..., 0]
        return State(hidden, context, state.coverage + weights), Step(features, weights, gate)
