"""Netra: a recurrent transliterator with additive attention, from Latin letters to Khmer script."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from attn_jax import ops
from attn_jax.hooks import tap
from attn_jax.nn import Attention
from attn_jax.pretrained.families.caching import empty_positions
from attn_jax.pretrained.families.family import Config, Family, setting, some_pairs
from attn_jax.pretrained.families.netra_letters import LetterReader, read_letters
from attn_jax.pretrained.reading.checkpoint import Checkpoint
from attn_jax.pretrained.reading.convert import Table


class UnprojectedAdditiveAttention(Attention):
    r"""Additive attention that projects neither query nor key: :math:`v^\top \tanh(q_i + k_j)`.

    Parameter: `v (d,)`.
    """

    def scores(
        self, query: Float[Array, "*b q d"], key: Float[Array, "*b k d"]
    ) -> Float[Array, "*b q k"]:
        """Score by one hidden layer, the sum of query and key."""
        features = query.shape[-1]
        return ops.additive_scores(
            query,
            key,
            w_query=jnp.eye(features, dtype=query.dtype),
            w_key=None,
            v=self.parameter("v", (features,), query),
        )


class GatedRecurrence(nn.Module):
    r"""A gated recurrent unit, whose parameters are laid out as Keras's.

    .. math:: z, r = \sigma(W_{z,r}\, x_t + U_{z,r}\, h_{t-1} + b_{z,r}), \qquad
              h_t = z\, h_{t-1} + (1 - z) \tanh(W x_t + b + r\, (U h_{t-1} + c))

    Parameters: `kernel (d, 3 h)`, `recurrent_kernel (h, 3 h)` and `bias (2, 3 h)`, those of the
    update gate :math:`z`, the reset gate :math:`r` and the new state.

    Attributes:
        features: h, the features of the state.

    References:
        Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014.
        https://arxiv.org/abs/1406.1078
    """

    features: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "*b t d"], start: Float[Array, "*b h"]
    ) -> Float[Array, "*b t h"]:
        """Return the state after each token."""
        normal, size = nn.initializers.lecun_normal(), 3 * self.features
        kernel = self.param("kernel", normal, (x.shape[-1], size))
        recurrent_kernel = self.param("recurrent_kernel", normal, (self.features, size))
        biases = self.param("bias", nn.initializers.zeros, (2, size))
        bias = biases[0].reshape((1,) * (x.ndim - 1) + (size,))
        recurrent_bias = biases[1].reshape((1,) * (x.ndim - 2) + (size,))

        def step(state: Array, of_token: Array) -> tuple[Array, Array]:
            of_state = state @ recurrent_kernel + recurrent_bias
            (x_z, x_r, x_new), (h_z, h_r, h_new) = (
                jnp.split(part, 3, axis=-1) for part in (of_token, of_state)
            )
            update, reset = nn.sigmoid(x_z + h_z), nn.sigmoid(x_r + h_r)
            state = update * state + (1 - update) * jnp.tanh(x_new + reset * h_new)
            return state, state

        of_tokens = jnp.moveaxis(x @ kernel + bias, -2, 0)
        return jnp.moveaxis(jax.lax.scan(step, start, of_tokens)[1], 0, -2)


class Netra(nn.Module):
    """A transliterator: recurrences over what is read and what is written, with additive attention.

    What is read passes through one in each direction; the states of what is written attend to them.

    Hook points beside those of the attention (`attention.weights`, `(*b, written, read)`):
    `logits`.

    Attributes:
        source_vocabulary: The number of letters that are read.
        vocabulary: The number of signs that are written.
        embedding_dim: The features of their embeddings.
        features: The features of the states.

    References:
        Bahdanau, Cho and Bengio, "Neural Machine Translation by Jointly Learning to Align and
        Translate", 2015. https://arxiv.org/abs/1409.0473
    """

    source_vocabulary: int
    vocabulary: int
    embedding_dim: int
    features: int

    def setup(self) -> None:
        """Create the submodules."""
        self.token_embedding = nn.Embed(self.source_vocabulary, self.embedding_dim)
        self.target_embedding = nn.Embed(self.vocabulary, self.embedding_dim)
        self.forward, self.backward, self.recurrence = (
            GatedRecurrence(self.features) for _ in range(3)
        )
        self.projection = nn.Dense(self.features)
        self.attention = UnprojectedAdditiveAttention()
        self.head = nn.Dense(self.vocabulary)

    def __call__(
        self,
        tokens: Int[Array, "*b k"],
        decoder_tokens: Int[Array, "*b t"],
        key_mask: Bool[Array, "*b k"] | None = None,
    ) -> Float[Array, "*b t v"]:
        """Return the logits of the sign after each of the decoder's.

        Args:
            tokens: Numbers of the letters that are read, `(*b, letters)`.
            decoder_tokens: Numbers of the signs that are written.
            key_mask: True = the letter may be attended to; all may if None, as in training, where
                the padding took part.
        """
        return self.decode(decoder_tokens, self.encode(tokens, key_mask), key_mask)

    def encode(
        self, tokens: Int[Array, "*b k"], key_mask: Bool[Array, "*b k"] | None = None
    ) -> Float[Array, "*b k f"]:
        """Return the states of the letters that are read."""
        x = self.token_embedding(tokens)
        start = jnp.zeros((*tokens.shape[:-1], self.features))
        backward = jnp.flip(self.backward(jnp.flip(x, -2), start), -2)
        return self.projection(jnp.concatenate([self.forward(x, start), backward], -1))

    def decode(
        self,
        decoder_tokens: Int[Array, "*b t"],
        states: Float[Array, "*b k f"],
        key_mask: Bool[Array, "*b k"] | None = None,
    ) -> Float[Array, "*b t v"]:
        """Return the logits of the sign after each of the decoder's."""
        query = self._advance(self.target_embedding(decoder_tokens))
        context = self.attention(query, states, states, key_mask=key_mask)
        return tap("logits", self.head(jnp.concatenate([query, context], -1)))

    def _advance(self, x: Array) -> Array:
        """Return the state after each token, the first of which follows those in the cache."""
        if not self.has_variable("cache", "length"):
            return self.recurrence(x, jnp.zeros((*x.shape[:-2], self.features)))
        length, kept = (self.get_variable("cache", name) for name in ("length", "states"))
        start = jnp.take_along_axis(kept, length[:, None, None], axis=1)[:, 0]
        states = self.recurrence(x, start)
        insert = functools.partial(jax.lax.dynamic_update_slice_in_dim, axis=0)
        self.put_variable("cache", "states", jax.vmap(insert)(kept, states, length + 1))
        self.put_variable("cache", "length", length + x.shape[1])
        return states

    def empty_cache(self, batch: int, length: int) -> dict[str, Any]:
        """Return the collection `cache` for some texts, with room for a number of tokens.

        The states after all tokens are kept, so that some tokens can be taken back, as
        `caching.set_lengths` does it.
        """
        states = jnp.zeros((batch, length + 1, self.features))
        return {"states": states, **empty_positions(batch)}


def _from_config(config: Config) -> Netra:
    names = ("source_vocabulary", "vocab_size", "embedding_dim", "features")
    return Netra(*(setting(config, name) for name in names))


def _reader(checkpoint: Checkpoint) -> LetterReader:
    config = checkpoint.config
    return read_letters(setting(config, "source_vocabulary"), setting(config, "vocab_size"))


_RECURRENCES = {
    "bidirectional/forward_layer": "forward",
    "bidirectional/backward_layer": "backward",
    "gru": "recurrence",
}
_PARTS = ("kernel", "recurrent_kernel", "bias")
_TABLE: Table = {
    "embedding/vars/0": ("token_embedding/embedding", "same"),
    "embedding_1/vars/0": ("target_embedding/embedding", "same"),
    **{
        f"{theirs}/cell/vars/{i}": (f"{ours}/{part}", "same")
        for theirs, ours in _RECURRENCES.items()
        for i, part in enumerate(_PARTS)
    },
    "time_distributed/layer/vars/0": ("projection/kernel", "same"),
    "time_distributed/layer/vars/1": ("projection/bias", "same"),
    "additive_attention/vars/0": ("attention/v", "same"),
    "dense/vars/0": ("head/kernel", "same"),
    "dense/vars/1": ("head/bias", "same"),
}

NETRA = Family("netra", _from_config, _TABLE, "layers/", example=some_pairs, reader=_reader)
