"""What replacing the inputs at keys says, against a loop over all keys and other examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import hooks, measure
from attn_jax.measure.card import noise

N, K, C = 31, 7, 3


def passes_by(inputs):
    """Add to what the attention gathers a part of all values, which goes around it."""
    weights = hooks.tap("look.weights", inputs["weights"])
    around = inputs["share"][:, None] * inputs["values"].sum(1)
    return jnp.einsum("nqk,nkc->nc", weights, inputs["values"]) + around


def drawn(share, seed=0):
    rng = np.random.default_rng(seed)
    looks = np.exp(2 * rng.normal(size=(N, 1, K)))
    arrays = {
        "values": 3 * rng.normal(size=(N, K, C)),
        "weights": looks / looks.sum(-1, keepdims=True),
        "share": np.full(N, share),
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_the_least_fall_that_no_contribution_explains_is_found(share):
    inputs = drawn(share)
    values, weights = (inputs[name].astype(float) for name in ("values", "weights"))
    weights = weights[:, 0]
    logits = np.einsum("nk,nkc->nc", weights + share, values)
    target = logits.argmax(-1)
    centered = values - values.mean(-1, keepdims=True)
    said = centered[np.arange(N), :, target]
    score = ((weights + share) * said).sum(-1)

    shifts = noise.draw(jax.random.key(3), (N, K)).shifts
    excess = np.zeros(N)
    for n in range(N):
        for k in range(K):
            others = [(n - 1 - int(shift * (N - 1))) % N for shift in shifts]
            falls = [
                (weights[n, k] + share) * (said[n, k] - centered[other, k, target[n]])
                for other in others
            ]
            explained = max(weights[n, k] * said[n, k], weights[n, k] * score[n])
            left = min(falls) - explained * max(min(falls) / score[n], 1)
            excess[n] = max(excess[n], left)

    card = measure.report_card(passes_by, inputs, rng=jax.random.key(3), adversarial=False)
    assert card["inputs"].value == pytest.approx(excess.mean() / score.mean(), rel=1e-4, abs=1e-6)


def test_keys_that_cannot_matter_are_not_tried_again():
    runs = []

    def fn(inputs):
        jax.debug.callback(lambda: runs.append(1))
        return passes_by(inputs)

    inputs = drawn(0.0)
    inputs["weights"] = (np.arange(K) == inputs["weights"].argmax(-1)[..., None]).astype(np.float32)
    measure.report_card(fn, inputs, resample=None, adversarial=False)
    jax.effects_barrier()
    others = len(runs)
    runs.clear()
    measure.report_card(fn, inputs, adversarial=False)
    jax.effects_barrier()
    # One key decides and explains the whole fall, so that one other example is enough for each.
    assert K <= len(runs) - others < 2 * K
