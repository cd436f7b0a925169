"""Recurrent decoders, which attend to the source at each step.

A decoder runs in two ways that give the same results: `__call__` takes all target tokens at once
(teacher forcing), and `step` takes one token, as decoding needs it. The `memory` holds the part of
the source that every step needs, and the `state` holds what one step passes to the next. Every
array in them has the sentences as its first axis.
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
    """The base of the decoders: the first state, the keys, and the loop over the tokens.

    Attributes:
        attention: A single-head attention of `attn_jax.nn` that needs only the query: neither its
            position nor the weights of the previous step. Its values are the encoder's states; its
            keys are the same states, projected once per sentence to the features of the query.
        features: The features of the state.
        cell: The recurrent cell.
        project_key: Whether keys are projected. A dot product with projected keys is Luong's
            *general* score. Without the projection it is his *dot* score, and the state must be as
            wide as both states of the encoder together.
    """

    attention: nn.Module = AdditiveAttention(project_key=False)
    features: int = 128
    cell: CellName = "gru"
    project_key: bool = True

    def setup(self) -> None:
        """Create the submodules.

        Raises:
            ValueError: If the attention needs more than a query.
        """
        if getattr(self.attention, "needs_history", False):
            raise ValueError(
                f"attention={type(self.attention).__name__} needs the position of its query or the "
                "state of the previous step, and this decoder keeps neither; LocalPAttention "
                "centers its window by the query alone."
            )
        self.recurrence = CELLS[self.cell](self.features)
        if self.project_key:
            self.key = nn.Dense(self.features, use_bias=False)
        self.initial = nn.Dense(self.features)

    def start(
        self, encoded: Float[Array, "n s d"], mask: Bool[Array, "n 1 s"]
    ) -> tuple[Memory, State]:
        r"""Return the memory of the source and the first state.

        The state is :math:`\tanh(W_s \overleftarrow{h}_1)`, from the encoder's last state in the
        backward direction.

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
        """Return the state before the first step, given the first carry of the cell."""
        return carry

    def advance(
        self, memory: Memory, state: State, embedded: jax.Array, deterministic: bool
    ) -> tuple[State, jax.Array]:
        """Take one step; return the new state and the features that `project` takes."""
        raise NotImplementedError(f"{type(self).__name__} does not define advance.")

    def project(self, features: jax.Array) -> jax.Array:
        """Project a step's features for the output head."""
        return features

    def step(
        self, memory: Memory, state: State, embedded: Float[Array, "n e"]
    ) -> tuple[State, Float[Array, "n r"]]:
        """Take one step, without dropout.

        Args:
            memory: The memory that `start` returned.
            state: The state after the previous step.
            embedded: The previous token, embedded.

        Returns:
            The new state, and the features for the output head.
        """
        state, features = self.advance(memory, state, embedded, deterministic=True)
        return state, self.project(features)

    def __call__(
        self,
        memory: Memory,
        state: State,
        embedded: Float[Array, "n t e"],
        *,
        deterministic: bool = True,
    ) -> Float[Array, "n t r"]:
        """Take all steps, given the target tokens.

        Args:
            memory: The memory that `start` returned.
            state: The state before the first step.
            embedded: The previous token at each step, embedded.
            deterministic: Turns dropout off.

        Returns:
            The features for the output head, at each step.
        """
        # The steps are moved behind the sentences last, when there are a quarter of the features.
        features = self.project(self.run_steps(memory, state, embedded, deterministic))
        return jnp.moveaxis(features, 0, 1)

    def run_steps(
        self, memory: Memory, state: State, embedded: jax.Array, deterministic: bool
    ) -> jax.Array:
        """Take all steps, one after the other; return the features of each, the steps first."""

        def step(
            decoder: "RecurrentDecoder", state: State, embedded: jax.Array
        ) -> tuple[State, jax.Array]:
            return decoder.advance(memory, state, embedded, deterministic)

        scan = nn.scan(
            step,
            variable_broadcast="params",
            split_rngs={"params": False, "dropout": True},
            in_axes=1,
        )
        return scan(self, state, embedded)[1]

    def attend(
        self, memory: Memory, query: Float[Array, "n q d"], *, deterministic: bool
    ) -> Float[Array, "n q d_v"]:
        """Attend to the source."""
        # Recomputed in the backward pass: scores and hidden units of every step would fill memory.
        # A loop needs no barrier for that; it would keep work that is the same in each step there.
        loops = getattr(self, "input_feeding", True)
        attend = nn.remat(_attend, static_argnums=(5,), prevent_cse=not loops)
        key, value, mask = (memory[name] for name in ("key", "value", "mask"))
        return attend(self, query, key, value, mask, deterministic)


class Maxout(nn.Module):
    """Project features, and keep the larger of each two neighbors.

    Parameters: `kernel (d, 2 * features)` and `bias (2 * features,)`.

    Attributes:
        features: The features that are kept.

    References:
        Goodfellow et al., "Maxout Networks", 2013, section 2. https://arxiv.org/abs/1302.4389
    """

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b r"]:
        """Project `(*b, d)` to `(*b, features)`."""
        width = 2 * self.features
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], width))
        bias = self.param("bias", nn.initializers.zeros, (width,))
        # The columns are sorted, not the results, of which there are many more.
        kernel, bias = (jnp.concatenate([p[..., ::2], p[..., 1::2]], -1) for p in (kernel, bias))
        pairs = x @ kernel + bias.reshape((1,) * (x.ndim - 1) + bias.shape)
        return jnp.maximum(*jnp.split(pairs, 2, axis=-1))


class BahdanauDecoder(RecurrentDecoder):
    r"""Attend, then step: the previous state is the query, and the context enters the cell.

    .. math:: c_i = \operatorname{attend}(s_{i-1}), \qquad s_i = f(s_{i-1}, [y_{i-1}; c_i]),
              \qquad t_i = \operatorname{maxout}(U_o s_i + V_o y_{i-1} + C_o c_i)

    :math:`y_{i-1}` is the previous token, embedded, and :math:`t_i` are the features from which the
    output head predicts the next token.

    References:
        Bahdanau, Cho and Bengio, "Neural Machine Translation by Jointly Learning to Align and
        Translate", 2015, section 3 and appendix A.2. https://arxiv.org/abs/1409.0473
    """

    def setup(self) -> None:
        """Create the submodules."""
        super().setup()
        self.readout = Maxout(self.features)

    def advance(
        self, memory: Memory, state: State, embedded: jax.Array, deterministic: bool
    ) -> tuple[State, jax.Array]:
        """Take one step."""
        query = _hidden(state)[:, None]
        context = self.attend(memory, query, deterministic=deterministic)[:, 0]
        state, hidden = self.recurrence(state, jnp.concatenate([embedded, context], axis=-1))
        return state, jnp.concatenate([hidden, embedded, context], axis=-1)

    def project(self, features: jax.Array) -> jax.Array:
        """Project the state, the previous token and the context by maxout."""
        return self.readout(features)


class LuongDecoder(RecurrentDecoder):
    r"""Step, then attend: the new state is the query, and the context is joined to it.

    .. math:: h_t = f(h_{t-1}, y_{t-1}), \qquad c_t = \operatorname{attend}(h_t), \qquad
              \tilde h_t = \tanh(W_c [c_t; h_t])

    The output head predicts the next token from the attentional vector :math:`\tilde h_t`.

    Attributes:
        input_feeding: Whether :math:`\tilde h_{t-1}` enters the cell beside the token, so that a
            step knows what the previous one attended to. Without it the state does not depend on
            the contexts, and all steps attend at once.

    References:
        Luong, Pham and Manning, "Effective Approaches to Attention-based Neural Machine
        Translation", 2015, section 3. https://arxiv.org/abs/1508.04025
    """

    input_feeding: bool = True

    def setup(self) -> None:
        """Create the submodules."""
        super().setup()
        self.run = nn.RNN(self.recurrence)
        self.join = nn.Dense(self.features, use_bias=False)

    def first_state(self, carry: Any) -> State:
        """Return the first carry, with zeros for the attentional vector under input feeding."""
        return (carry, jnp.zeros_like(_hidden(carry))) if self.input_feeding else carry

    def advance(
        self, memory: Memory, state: State, embedded: jax.Array, deterministic: bool
    ) -> tuple[State, jax.Array]:
        """Take one step."""
        if not self.input_feeding:
            carry, hidden = self.recurrence(state, embedded)
            return carry, self._attentional(memory, hidden[:, None], deterministic)[:, 0]
        carry, attentional = state
        inputs = jnp.concatenate([embedded, attentional], axis=-1)
        carry, hidden = self.recurrence(carry, inputs)
        attentional = self._attentional(memory, hidden[:, None], deterministic)[:, 0]
        return (carry, attentional), attentional

    def run_steps(
        self, memory: Memory, state: State, embedded: jax.Array, deterministic: bool
    ) -> jax.Array:
        """Take all steps; without input feeding, attend at all of them at once."""
        if self.input_feeding:
            return super().run_steps(memory, state, embedded, deterministic)
        hidden = jnp.asarray(self.run(embedded, initial_carry=state))
        return jnp.moveaxis(self._attentional(memory, hidden, deterministic), 1, 0)

    def _attentional(self, memory: Memory, hidden: jax.Array, deterministic: bool) -> jax.Array:
        context = self.attend(memory, hidden, deterministic=deterministic)
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
    """Return the hidden state in a cell's carry: all of it, or the second half for an LSTM."""
    return carry[1] if isinstance(carry, tuple) else carry
