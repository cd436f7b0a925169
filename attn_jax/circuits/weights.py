"""The circuits that a head's weights make, and how the heads of two layers compose."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Complex, Float

from attn_jax.circuits.scores import Scores


class FactoredMatrix(NamedTuple):
    """A matrix of low rank, or many of them, as a product that is not multiplied out.

    Attributes:
        left: `(*b, m, rank)`.
        right: `(*b, rank, n)`.

    Example:
        >>> matrix = FactoredMatrix(jnp.ones((50000, 1)), jnp.ones((1, 50000)))
        >>> matrix.shape, float(matrix.norm())
        ((50000, 50000), 50000.0)
    """

    left: Float[Array, "*b m rank"]
    right: Float[Array, "*b rank n"]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the matrix, `(*b, m, n)`."""
        return (*self.left.shape[:-1], self.right.shape[-1])

    def matrix(self) -> Float[Array, "*b m n"]:
        """Return the matrix, multiplied out."""
        return self.left @ self.right

    def norm(self) -> Float[Array, "*b"]:
        """Return the Frobenius norm of each matrix."""
        squares = (self.left.mT @ self.left) * (self.right @ self.right.mT)
        return _root(squares.sum((-2, -1)))

    def eigenvalues(self) -> Complex[Array, "*b rank"]:
        """Return the eigenvalues that may differ from zero; NumPy computes them on the CPU.

        Raises:
            ValueError: If the matrix is not square.
        """
        if self.shape[-1] != self.shape[-2]:
            raise ValueError(
                f"a matrix of shape {list(self.shape[-2:])} has no eigenvalues: it is not square."
            )
        # They are those of the product in the other order, which is small.
        small = self.right @ self.left
        shape = jax.ShapeDtypeStruct((*small.shape[:-1], 2), jnp.float32)
        parts = jax.pure_callback(_eigenvalues, shape, small, vmap_method="expand_dims")
        return jax.lax.complex(parts[..., 0], parts[..., 1])

    def singular_values(self) -> Float[Array, "*b rank"]:
        """Return the singular values, largest first."""
        _, left = jnp.linalg.qr(self.left)
        _, right = jnp.linalg.qr(self.right.mT)
        return jnp.linalg.svd(left @ right.mT, compute_uv=False)


def _root(square: Array) -> Array:
    """Return the root of a sum that rounding may have left below zero."""
    return jnp.sqrt(jnp.maximum(square, 0))


def _eigenvalues(matrix: ArrayLike) -> np.ndarray:
    """Return real and imaginary parts, as callbacks of earlier JAX return no complex numbers."""
    values = np.linalg.eigvals(np.asarray(matrix))
    return np.stack([values.real, values.imag], -1).astype(np.float32)


def qk_circuit(
    w_query: Float[Array, "*b f d"],
    w_key: Float[Array, "*b f d"],
    *,
    embedding: Float[Array, "v f"] | None = None,
) -> FactoredMatrix:
    r"""Return which destination attends to which source: :math:`W_Q W_K^\top` of each head.

    Args:
        w_query: The query projection of each head.
        w_key: Its key projection.
        embedding: The embedding of each token, for the full circuit between tokens,
            :math:`W_E W_Q W_K^\top W_E^\top`.

    Returns:
        `(*b, f, f)`, or `(*b, v, v)` with an embedding; rows are queries.

    Example:
        >>> qk_circuit(jnp.ones((12, 768, 64)), jnp.ones((12, 768, 64))).shape
        (12, 768, 768)

    References:
        Elhage et al., "A Mathematical Framework for Transformer Circuits", 2021.
        https://transformer-circuits.pub/2021/framework
    """
    left, right = (_embedded(embedding, weights) for weights in (w_query, w_key))
    return FactoredMatrix(left, right.mT)


def ov_circuit(
    w_value: Float[Array, "*b f d"],
    w_out: Float[Array, "*b d f"],
    *,
    embedding: Float[Array, "v f"] | None = None,
    unembedding: Float[Array, "f v"] | None = None,
) -> FactoredMatrix:
    """Return what attending to a source adds to the residual stream: `W_V W_O` of each head.

    Args:
        w_value: The value projection of each head.
        w_out: Its rows of the output projection.
        embedding: The embedding of each token, so that rows are tokens.
        unembedding: The projection to logits, so that columns are logits.

    Returns:
        `(*b, f, f)`, with tokens in place of features where a matrix was given; rows are sources.

    Example:
        >>> ov_circuit(jnp.ones((12, 768, 64)), jnp.ones((12, 64, 768))).shape
        (12, 768, 768)

    References:
        Elhage et al., 2021. https://transformer-circuits.pub/2021/framework
    """
    right = w_out if unembedding is None else jnp.einsum("...df,fv->...dv", w_out, unembedding)
    return FactoredMatrix(_embedded(embedding, w_value), right)


def _embedded(embedding: Array | None, weights: Array) -> Array:
    return weights if embedding is None else jnp.einsum("vf,...fd->...vd", embedding, weights)


def copying_score(circuit: FactoredMatrix) -> Float[Array, "*b"]:
    r"""Return how far each circuit copies: :math:`\sum_i \lambda_i / \sum_i |\lambda_i|`.

    The eigenvalues of an OV circuit are positive where attending to a token raises the logit of the
    same token. The score is 1 if all are, -1 if all are negative, and near 0 for random weights.

    Args:
        circuit: From :func:`ov_circuit`, usually with embedding and unembedding.

    Returns:
        The score of each circuit.

    Example:
        >>> copying_score(FactoredMatrix(jnp.eye(3), 2 * jnp.eye(3)))
        Array(1., dtype=float32)

    References:
        Elhage et al., 2021, section "Summarizing OV/QK matrices".
        https://transformer-circuits.pub/2021/framework
    """
    values = circuit.eigenvalues()
    return values.real.sum(-1) / jnp.abs(values).sum(-1)


def composition_scores(
    w_query: Float[Array, "l h f d"],
    w_key: Float[Array, "l h f d"],
    w_value: Float[Array, "l h f d"],
    w_out: Float[Array, "l h d f"],
    *,
    kind: Literal["query", "key", "value"],
) -> Scores:
    r"""Return how much a head reads what a head of an earlier layer writes.

    With :math:`W_{OV}` of the earlier head and :math:`W` of the later one, :math:`W_{QK}`,
    :math:`W_{QK}^\top` or :math:`W_{OV}` for Q-, K- and V-composition, the score is
    :math:`\|W_{OV} W\|_F / (\|W_{OV}\|_F \|W\|_F)`, for matrices that rows are multiplied by.
    Random weights have about :math:`1/\sqrt{f}`.

    Args:
        w_query: The query projection of each head.
        w_key: Its key projection; where heads share one, repeat it.
        w_value: Its value projection, likewise.
        w_out: Its rows of the output projection.
        kind: The input of the later head that is meant.

    Returns:
        The scores, with axes `from_layer`, `from_head`, `layer`, `head`; zero where the first layer
        is not before the second.

    Raises:
        ValueError: If the kind is none of the three.

    References:
        Elhage et al., 2021, section "Two-Layer Attention-Only Transformers".
        https://transformer-circuits.pub/2021/framework
    """
    readers = {
        "query": FactoredMatrix(w_query, w_key.mT),
        "key": FactoredMatrix(w_key, w_query.mT),
        "value": FactoredMatrix(w_value, w_out),
    }
    if kind not in readers:
        raise ValueError(f"kind={kind!r} is none of 'query', 'key' and 'value'.")
    reader, writer = readers[kind], FactoredMatrix(w_value, w_out)

    reader_gram = reader.right @ reader.right.mT

    def with_all(head: FactoredMatrix) -> Array:
        inner = jnp.einsum("df,lhfe->lhde", head.right, reader.left)
        squares = (head.left.mT @ head.left @ inner) * (inner @ reader_gram)
        return _root(squares.sum((-2, -1))) / reader.norm() / head.norm()

    scores = jax.lax.map(lambda layer: jax.lax.map(with_all, layer), writer)
    layers = jnp.arange(len(w_out))
    is_earlier = (layers[:, None] < layers[None, :])[:, None, :, None]
    scores = jnp.where(jnp.broadcast_to(is_earlier, scores.shape), scores, 0.0)
    return Scores(scores, ("from_layer", "from_head", "layer", "head"))
