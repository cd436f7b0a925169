"""Scores and normalisers beside PyTorch, Keras and `entmax`; `make parity` runs it."""

import os

import numpy as np
import pytest

os.environ["KERAS_BACKEND"] = "torch"
pytest.importorskip("torch", reason="PyTorch is not in this environment; `make parity` has it")
pytest.importorskip("entmax", reason="not in this environment; `make parity` has it")
pytest.importorskip("keras", reason="not in this environment; `make parity` has it")

from comparison import in_jax, in_torch
from scores_cases import CASES
from scores_peers import PEERS
from structure_cases import normal

# Keras finds one key suspicious.
pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis:UserWarning")

# Fresh at every run, and printed by pytest with a failure, so that it can be had again.
SEED = int(os.environ.get("PARITY_SEED", np.random.SeedSequence().entropy % 2**32))


@pytest.mark.parametrize("trial", range(3))
@pytest.mark.parametrize("name", CASES)
def test_it_gives_what_the_peer_gives(name, trial):
    print(f"PARITY_SEED={SEED}")
    rng = np.random.default_rng([SEED, trial])
    inputs, ours = CASES[name]
    arrays, options = inputs(rng)
    expected, gradients, toward = in_torch(
        PEERS[name], arrays, options, lambda shape: normal(rng, *shape)
    )
    output, found = in_jax(ours, arrays, options, toward)
    np.testing.assert_allclose(output, expected, atol=2e-5, rtol=2e-5)
    for key, gradient in gradients.items():
        np.testing.assert_allclose(found[key], gradient, atol=2e-4, rtol=5e-4, err_msg=key)
