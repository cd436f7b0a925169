"""The recurrent encoder, and the cells of encoder and decoder."""

from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

CellName = Literal["gru", "lstm"]

CELLS = {"gru": nn.GRUCell, "lstm": nn.OptimizedLSTMCell}
"""The recurrent cells by name."""


class BidirectionalEncoder(nn.Module):
    """A recurrent encoder that reads a sentence in both directions.

    Attributes:
        features: The features of the state in each direction.
        cell: The recurrent cell.

    Example:
        >>> model, x = BidirectionalEncoder(features=3), jnp.ones((2, 5, 7))
        >>> lengths = jnp.array([5, 4])
        >>> model.apply(model.init(jax.random.key(0), x, lengths), x, lengths).shape
        (2, 5, 6)

    References:
        Schuster and Paliwal, "Bidirectional Recurrent Neural Networks", 1997, section II.
        https://doi.org/10.1109/78.650093
    """

    features: int = 128
    cell: CellName = "gru"

    @nn.compact
    def __call__(
        self, embedded: Float[Array, "n s e"], lengths: Int[Array, " n"]
    ) -> Float[Array, "n s d"]:
        """Encode `(n, s, e)` as `(n, s, 2 * features)`, forward states before backward ones.

        Args:
            embedded: Embedded tokens, padded at the end.
            lengths: The number of tokens in each sentence, without padding.
        """
        forward, backward = (nn.RNN(CELLS[self.cell](self.features)) for _ in range(2))
        return jnp.asarray(nn.Bidirectional(forward, backward)(embedded, seq_lengths=lengths))
