"""Rotary positions against complex rotations, written from the paper."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_jax import ops

B, T, H, D = 2, 5, 3, 8
RNG = np.random.default_rng(6)
X = jnp.asarray(RNG.normal(size=(B, T, H, D)), jnp.float32)
PAIRS = {
    "rotary": (ops.rotary, lambda d: (np.arange(d // 2), np.arange(d // 2) + d // 2)),
    "rotary_pairs": (ops.rotary_pairs, lambda d: (np.arange(0, d, 2), np.arange(1, d, 2))),
}
each = pytest.mark.parametrize("name", PAIRS)


def reference(name, x, positions, rotated, base=10_000.0):
    """Multiply each pair, as a complex number, by its angle's."""
    x = np.array(x, np.float64)
    for place in np.ndindex(B, T, H):
        for i, (first, second) in enumerate(zip(*PAIRS[name][1](rotated), strict=True)):
            angle = positions[place[:2]] * base ** (-2 * i / rotated)
            turned = complex(x[place][first], x[place][second]) * np.exp(1j * angle)
            x[place][first], x[place][second] = turned.real, turned.imag
    return x


@each
@pytest.mark.parametrize("rotated", [D, 4])
def test_it_turns_pairs_by_their_positions(name, rotated):
    positions = RNG.integers(0, 999, (B, T))
    out = jax.jit(PAIRS[name][0])(
        X, positions=jnp.asarray(positions), frequencies=ops.rotary_frequencies(rotated)
    )
    np.testing.assert_allclose(out, reference(name, X, positions, rotated), atol=3e-4)
    near = jax.jit(PAIRS[name][0])(X)
    expected = reference(name, X, np.broadcast_to(np.arange(T), (B, T)), D)
    np.testing.assert_allclose(near, expected, atol=1e-5)


@each
def test_scores_know_only_the_difference_of_positions(name):
    rotate = PAIRS[name][0]

    @jax.jit
    def scores(offset):
        positions = jnp.arange(T) + offset
        return ops.multi_head_scores(rotate(X, positions=positions), rotate(X, positions=positions))

    np.testing.assert_allclose(scores(0), scores(37), atol=1e-4)


@each
def test_gradients_vmap_and_types(name):
    rotate = jax.jit(PAIRS[name][0])
    check_grads(
        lambda x: rotate(jnp.asarray(x)), (X,), order=1, modes=["rev"], atol=1e-2, rtol=1e-2
    )
    np.testing.assert_allclose(jax.vmap(rotate)(X), rotate(X), atol=1e-6)
    low = rotate(X.astype(jnp.bfloat16))
    assert low.dtype == jnp.bfloat16
    np.testing.assert_allclose(low.astype(jnp.float32), rotate(X), atol=0.03)
    assert rotate(X[:, :0]).shape == (B, 0, H, D)


def test_one_token_at_a_time_gives_what_all_at_once_give():
    rotate = jax.jit(ops.rotary)
    by_one = [rotate(X[:, t : t + 1], positions=jnp.array([t])) for t in range(T)]
    np.testing.assert_allclose(jnp.concatenate(by_one, axis=1), rotate(X), atol=1e-6)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.rotary_frequencies(5), "dim=5 must be even"),
        (lambda: ops.rotary(X, frequencies=jnp.ones(5)), "rotate 10 features but x of shape"),
        (lambda: ops.rotary(X[..., :7]), "must be even"),
        (lambda: ops.rotary(X, positions=jnp.arange(4)), r"positions of shape \(4,\)"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
