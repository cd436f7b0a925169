"""Attributions of attention weights beside Captum; `make parity` runs it."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="not in this environment; `make parity` has it")
captum = pytest.importorskip("captum.attr", reason="not in this environment; `make parity` has it")

from attn_jax import hooks, measure  # noqa: E402

SEED = int(os.environ.get("PARITY_SEED", np.random.SeedSequence().entropy % 2**32))
N, Q, K, D, C = 5, 3, 7, 11, 4


@pytest.fixture(scope="module")
def case():
    """A model of weights: they weigh values, two layers read what comes of it."""
    print(f"PARITY_SEED={SEED}")
    rng = np.random.default_rng(SEED)
    value, inner, outer = (
        rng.normal(size=shape).astype(np.float32) for shape in ((N, K, D), (Q * D, 9), (9, C))
    )
    mask = np.arange(K) < np.array([7, 7, 5, 6, 3])[:, None]
    scores = np.where(mask[:, None], rng.normal(size=(N, Q, K)), -np.inf).astype(np.float32)
    target = rng.integers(C, size=N)

    def ours(scores):
        weights = hooks.tap("look.weights", jax.nn.softmax(scores))
        read = jnp.einsum("nqk,nkd->nqd", weights, value).reshape(N, -1)
        return jnp.tanh(read @ inner / 4) @ outer

    tensors = [torch.from_numpy(array) for array in (value, inner, outer)]

    def theirs(weights):
        copies = len(weights) // N
        read = torch.einsum("nqk,nkd->nqd", weights, tensors[0].repeat(copies, 1, 1))
        logits = torch.tanh(read.flatten(1) @ tensors[1] / 4) @ tensors[2]
        return torch.softmax(logits, dim=-1)

    weights = torch.softmax(torch.from_numpy(scores), dim=-1)
    return ours, theirs, jnp.array(scores), weights, target, mask


def test_integrated_gradients_are_captums(case):
    ours, theirs, scores, weights, target, mask = case
    expected = captum.IntegratedGradients(theirs).attribute(
        weights, target=torch.from_numpy(target), n_steps=16, method="riemann_middle"
    )
    found = measure.integrated_gradients(
        ours, scores, jnp.array(target), attention="look.weights", mask=jnp.array(mask), steps=16
    )
    np.testing.assert_allclose(found, expected.sum(1).numpy(), atol=1e-5)


def test_gradient_times_weight_is_captums(case):
    ours, theirs, scores, weights, target, mask = case
    expected = captum.InputXGradient(theirs).attribute(
        weights.requires_grad_(), target=torch.from_numpy(target)
    )
    found = measure.gradient_attribution(
        ours,
        scores,
        jnp.array(target),
        attention="look.weights",
        mask=jnp.array(mask),
        renormalize=False,
    )
    np.testing.assert_allclose(found, expected.detach().sum(1).numpy(), atol=1e-5)


def test_leaving_one_out_is_captums_ablation(case):
    ours, theirs, scores, weights, target, mask = case
    of_key = torch.arange(K).expand(1, Q, K)
    with torch.no_grad():
        expected = captum.FeatureAblation(theirs).attribute(
            weights, target=torch.from_numpy(target), feature_mask=of_key
        )
        full = theirs(weights)[torch.arange(N), torch.from_numpy(target)].numpy()
    found = measure.leave_one_out(
        ours,
        scores,
        jnp.array(target),
        jnp.array(full),
        attention="look.weights",
        mask=jnp.array(mask),
        renormalize=False,
    )
    np.testing.assert_allclose(found, expected[:, 0].numpy(), atol=1e-5)
