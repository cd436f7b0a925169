"""Circuits of weights, against matrices that are multiplied out, and ones written by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models import (
    CURRENT,
    DUPLICATE,
    FORGETTING,
    INDUCTION,
    PREVIOUS,
    SUCCESSOR,
    VOCABULARY,
    induction_weights,
    random_weights,
)

from attn_jax.circuits import (
    FactoredMatrix,
    composition_scores,
    copying_score,
    ov_circuit,
    qk_circuit,
)

RNG = np.random.default_rng(0)
MATRIX = FactoredMatrix(
    jnp.asarray(RNG.normal(size=(2, 7, 3)), jnp.float32),
    jnp.asarray(RNG.normal(size=(2, 3, 7)), jnp.float32),
)
WEIGHTS = random_weights()
PROJECTIONS = (WEIGHTS.query, WEIGHTS.key, WEIGHTS.value, WEIGHTS.out)


def test_a_factored_matrix():
    full = np.asarray(MATRIX.matrix())
    assert MATRIX.shape == full.shape == (2, 7, 7)
    np.testing.assert_allclose(MATRIX.norm(), np.linalg.norm(full, axis=(1, 2)), rtol=1e-5)
    singular = np.linalg.svd(full, compute_uv=False)[:, :3]
    np.testing.assert_allclose(MATRIX.singular_values(), singular, rtol=1e-4)
    for values, each in zip(MATRIX.eigenvalues(), full, strict=True):
        largest = np.sort_complex(np.linalg.eigvals(each))
        largest = largest[np.abs(largest) > 1e-4]
        np.testing.assert_allclose(np.sort_complex(values), largest, rtol=1e-3, atol=1e-4)


def test_eigenvalues_under_jit_and_vmap():
    expected = MATRIX.eigenvalues()
    np.testing.assert_allclose(jax.jit(FactoredMatrix.eigenvalues)(MATRIX), expected, atol=1e-5)
    np.testing.assert_allclose(jax.vmap(FactoredMatrix.eigenvalues)(MATRIX), expected, atol=1e-5)


def test_no_eigenvalues_of_a_matrix_that_is_not_square():
    with pytest.raises(ValueError, match=r"\[4, 5\] has no eigenvalues"):
        FactoredMatrix(jnp.ones((4, 2)), jnp.ones((2, 5))).eigenvalues()


def test_circuits_are_products_of_weights():
    w = jax.tree.map(jnp.asarray, WEIGHTS)
    embedding, unembedding = WEIGHTS.embedding, WEIGHTS.unembedding
    bare = qk_circuit(w.query, w.key), ov_circuit(w.value, w.out)
    full = (
        qk_circuit(w.query, w.key, embedding=w.embedding),
        ov_circuit(w.value, w.out, embedding=w.embedding, unembedding=w.unembedding),
    )
    for place in np.ndindex(2, 3):
        qk = WEIGHTS.query[place] @ WEIGHTS.key[place].T
        ov = WEIGHTS.value[place] @ WEIGHTS.out[place]
        np.testing.assert_allclose(bare[0].matrix()[place], qk, atol=1e-5)
        np.testing.assert_allclose(bare[1].matrix()[place], ov, atol=1e-5)
        qk, ov = embedding @ qk @ embedding.T, embedding @ ov @ unembedding
        np.testing.assert_allclose(full[0].matrix()[place], qk, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(full[1].matrix()[place], ov, rtol=1e-4, atol=1e-4)


def test_the_circuits_of_an_induction_model():
    w = jax.tree.map(jnp.asarray, induction_weights())
    ov = ov_circuit(w.value, w.out, embedding=w.embedding, unembedding=w.unembedding)
    identity = np.eye(VOCABULARY)
    expected = {
        (0, CURRENT): 0.5 * identity,
        (1, INDUCTION): 2 * identity,
        (1, SUCCESSOR): np.roll(identity, 1, 1),
        (1, FORGETTING): -identity,
    }
    for place, matrix in expected.items():
        np.testing.assert_allclose(ov.matrix()[place], matrix, atol=1e-6)
    scores = copying_score(ov)
    assert scores.shape == (2, 4)
    np.testing.assert_allclose(scores[0, CURRENT], 1, atol=1e-5)
    np.testing.assert_allclose(scores[1, INDUCTION], 1, atol=1e-5)
    np.testing.assert_allclose(scores[1, FORGETTING], -1, atol=1e-5)
    # The eigenvalues of a cyclic permutation are the roots of one, which add up to nothing.
    np.testing.assert_allclose(scores[1, SUCCESSOR], 0, atol=1e-5)


@pytest.mark.parametrize("kind", ["query", "key", "value"])
def test_composition_by_hand(kind):
    scores = composition_scores(*map(jnp.asarray, PROJECTIONS), kind=kind)
    assert scores.axes == ("from_layer", "from_head", "layer", "head")
    w_query, w_key, w_value, w_out = PROJECTIONS
    for l1, h1, l2, h2 in np.ndindex(2, 3, 2, 3):
        writer = w_value[l1, h1] @ w_out[l1, h1]
        qk = w_query[l2, h2] @ w_key[l2, h2].T
        reader = {"query": qk, "key": qk.T, "value": w_value[l2, h2] @ w_out[l2, h2]}[kind]
        norm = np.linalg.norm
        expected = norm(writer @ reader) / norm(writer) / norm(reader) if l1 < l2 else 0
        np.testing.assert_allclose(scores.values[l1, h1, l2, h2], expected, rtol=1e-4)


def test_the_composition_of_an_induction_circuit():
    """Keys of induction read what the previous-token head writes, and nothing else."""
    w = jax.tree.map(jnp.asarray, induction_weights())
    projections = (w.query, w.key, w.value, w.out)
    keys = np.asarray(composition_scores(*projections, kind="key"))
    # Both are permutations of the tokens, so that the norms are the root of their number each.
    np.testing.assert_allclose(keys[0, PREVIOUS, 1, INDUCTION], VOCABULARY**-0.5, rtol=1e-5)
    assert np.nanmax(np.abs(keys[0, CURRENT, 1])) == 0
    queries = np.asarray(composition_scores(*projections, kind="query"))
    assert np.nanmax(np.abs(queries[0, PREVIOUS, 1, [INDUCTION, DUPLICATE]])) == 0


def test_an_unknown_kind(unchecked):
    with pytest.raises(ValueError, match="kind='output' is none of"):
        composition_scores(*map(jnp.asarray, PROJECTIONS), kind="output")
