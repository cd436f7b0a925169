"""The recurrent half of a translator that writes: decoders that attend at each step.

A decoder is asked in two ways that agree: called with all embedded tokens, it goes through them
by itself (teacher forcing); `step` takes one token, and is what decoding calls. What a step needs
of the source is the `memory`, what it needs of the step before is the `state`; every array of both
begins with the axis of sentences.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from attn_jax.models.recurrent.encoder import CELLS, CellName
from attn_jax.nn import AdditiveAttention

Memory = dict[str, jax.Array]
State = Any


class RecurrentDecoder(nn.Module):
    """What the decoders share: the first state, the keys, the way through the tokens.

    Attributes:
        attention: A single-head attention of `attn_jax.nn` that needs nothing but the query, so
            none that asks for its place or for where the step before looked. Its values are the
            encoder's states, and its keys these, projected once a sentence to the features of the
            query.
        features: Of the state.
        cell: Which recurrent cell.
        project_key: Whether keys are projected: then a dot product with them is Luong's *general*
            score. Without, it is his *dot*, for which a state must be as wide as both of the
            encoder's together.
    """

    attention: nn.Module = AdditiveAttention(project_key=False)
    features: int = 128
    cell: CellName = "gru"
    project_key: bool = True

    def setup(self) -> None:
        """Name the parts.

        Raises:
            ValueError: If the attention needs more than a query.
        """
        if getattr(self.attention, "needs_history", False):
            raise ValueError(
                f"attention={type(self.attention).__name__} needs the position of its query or the "
                "state of the step before, which this decoder does not keep; LocalPAttention "
                "places its window by the query alone."
            )
        self.recurrence = CELLS[self.cell](self.features)
        if self.project_key:
            self.key = nn.Dense(self.features, use_bias=False)
        self.initial = nn.Dense(self.features)

    def start(
        self, encoded: Float[Array, "n s d"], mask: Bool[Array, "n 1 s"]
    ) -> tuple[Memory, State]:
        r"""What every step needs of the source, and the first state.

        The state is :math:`\tanh(W_s \overleftarrow{h}_1)`: what the encoder knows when it has
        read the sentence backward.

        Args:
            encoded: Both states of the encoder at each token; zeros at the padding.
            mask: True where there is a token.
        """
        _, backward = jnp.split(encoded[:, 0], 2, axis=-1)
        hidden = jnp.tanh(self.initial(backward))
        carry = hidden if self.cell == "gru" else (jnp.zeros_like(hidden), hidden)
        key = self.key(encoded) if self.project_key else encoded
        memory = {"key": key, "value": encoded, "mask": mask}
        return memory, self.first_state(carry)

    def first_state(self, carry: Any) -> State:
        """The state before the first step, of the first carry of the cell."""
        return carry

    def advance(
        self, memory: Memory, state: State, embedded: jax.Array, deterministic: bool
    ) -> tuple[State, jax.Array]:
        """Go one step: the new state, and what `read_out` takes."""
        raise NotImplementedError(f"{type(self).__name__} does not define advance.")

    def read_out(self, features: jax.Array) -> jax.Array:
        """From what a step gave to what the next token is to be told from."""
        return features

    def step(
        self, memory: Memory, state: State, embedded: Float[Array, "n e"]
    ) -> tuple[State, Float[Array, "n r"]]:
        """Go one step, without dropout.

        Args:
            memory: As from `start`.
            state: Of the step before.
            embedded: The token before.

        Returns:
            The new state, and what the next token is to be told from.
        """
        state, features = self.advance(memory, state, embedded, deterministic=True)
        return state, self.read_out(features)

    def __call__(
        self,
        memory: Memory,
        state: State,
        embedded: Float[Array, "n t e"],
        *,
        deterministic: bool = True,
    ) -> Float[Array, "n t r"]:
        """Go through all steps, given the tokens.

        Args:
            memory: As from `start`.
            state: Before the first step.
            embedded: At each step, the token before.
            deterministic: Turns dropout off.

        Returns:
            At each step, what the next token is to be told from.
        """
        return self.read_out(self.through(memory, state, embedded, deterministic))

    def through(
        self, memory: Memory, state: State, embedded: jax.Array, deterministic: bool
    ) -> jax.Array:
        """Go through all steps, one after the other."""

        def step(
            decoder: "RecurrentDecoder", state: State, embedded: jax.Array
        ) -> tuple[State, jax.Array]:
            return decoder.advance(memory, state, embedded, deterministic)

        scan = nn.scan(
            step,
            variable_broadcast="params",
            split_rngs={"params": False, "dropout": True},
            in_axes=1,
            out_axes=1,
        )
        return scan(self, state, embedded)[1]

    def look(
        self, memory: Memory, query: Float[Array, "n q d"], *, deterministic: bool
    ) -> Float[Array, "n q d_v"]:
        """Attend to the source; what a step computes for it is not kept for the gradients."""
        attend = nn.remat(_attend, static_argnums=(5,))
        key, value, mask = (memory[name] for name in ("key", "value", "mask"))
        return attend(self, query, key, value, mask, deterministic)


class BahdanauDecoder(RecurrentDecoder):
    r"""Look, then step: the state before the step asks, and the context enters the cell.

    .. math:: c_i = \operatorname{attend}(s_{i-1}), \qquad s_i = f(s_{i-1}, [y_{i-1}; c_i]),
              \qquad t_i = \operatorname{maxout}(U_o s_i + V_o y_{i-1} + C_o c_i)

    :math:`y_{i-1}` is the token before, embedded, and :math:`t_i` what the next one is told from.

    References:
        Bahdanau, Cho and Bengio, "Neural Machine Translation by Jointly Learning to Align and
        Translate", 2015, section 3 and appendix A.2. https://arxiv.org/abs/1409.0473
    """

    def setup(self) -> None:
        """Name the parts."""
        super().setup()
        self.readout = nn.Dense(2 * self.features)

    def advance(
        self, memory: Memory, state: State, embedded: jax.Array, deterministic: bool
    ) -> tuple[State, jax.Array]:
        """Go one step."""
        query = _hidden(state)[:, None]
        context = self.look(memory, query, deterministic=deterministic)[:, 0]
        state, hidden = self.recurrence(state, jnp.concatenate([embedded, context], axis=-1))
        return state, jnp.concatenate([hidden, embedded, context], axis=-1)

    def read_out(self, features: jax.Array) -> jax.Array:
        """Read the state, the token before and the context, by maxout."""
        pairs = self.readout(features)
        # Not `max` over an axis of two, whose gradient looks for ties and takes longer.
        return jnp.maximum(pairs[..., ::2], pairs[..., 1::2])


class LuongDecoder(RecurrentDecoder):
    r"""Step, then look: the state after the step asks, and its answer is joined to it.

    .. math:: h_t = f(h_{t-1}, y_{t-1}), \qquad c_t = \operatorname{attend}(h_t), \qquad
              \tilde h_t = \tanh(W_c [c_t; h_t])

    The next token is told from the attentional vector :math:`\tilde h_t`.

    Attributes:
        input_feeding: Whether :math:`\tilde h_{t-1}` enters the cell too, beside the token, so
            that a step knows where the last one looked. Without it nothing that was looked up goes
            into the state, and all steps look at once.

    References:
        Luong, Pham and Manning, "Effective Approaches to Attention-based Neural Machine
        Translation", 2015, section 3. https://arxiv.org/abs/1508.04025
    """

    input_feeding: bool = True

    def setup(self) -> None:
        """Name the parts."""
        super().setup()
        self.run = nn.RNN(self.recurrence)
        self.join = nn.Dense(self.features, use_bias=False)

    def first_state(self, carry: Any) -> State:
        """The first carry, and zeros for an attentional vector."""
        return (carry, jnp.zeros_like(_hidden(carry))) if self.input_feeding else carry

    def advance(
        self, memory: Memory, state: State, embedded: jax.Array, deterministic: bool
    ) -> tuple[State, jax.Array]:
        """Go one step."""
        if not self.input_feeding:
            carry, hidden = self.recurrence(state, embedded)
            return carry, self._attentional(memory, hidden[:, None], deterministic)[:, 0]
        carry, fed = state
        carry, hidden = self.recurrence(carry, jnp.concatenate([embedded, fed], axis=-1))
        attentional = self._attentional(memory, hidden[:, None], deterministic)[:, 0]
        return (carry, attentional), attentional

    def through(
        self, memory: Memory, state: State, embedded: jax.Array, deterministic: bool
    ) -> jax.Array:
        """Go through all steps; without input feeding, look at once."""
        if self.input_feeding:
            return super().through(memory, state, embedded, deterministic)
        hidden = jnp.asarray(self.run(embedded, initial_carry=state))
        return self._attentional(memory, hidden, deterministic)

    def _attentional(self, memory: Memory, hidden: jax.Array, deterministic: bool) -> jax.Array:
        context = self.look(memory, hidden, deterministic=deterministic)
        return jnp.tanh(self.join(jnp.concatenate([context, hidden], axis=-1)))


def _attend(
    decoder: RecurrentDecoder,
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    mask: jax.Array,
    deterministic: bool,
) -> jax.Array:
    return decoder.attention(query, key, value, mask=mask, deterministic=deterministic)


def _hidden(carry: Any) -> jax.Array:
    """What a cell shows of its carry: all of it, or beside an LSTM's memory, its second half."""
    return carry[1] if isinstance(carry, tuple) else carry
