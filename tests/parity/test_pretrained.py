"""Checkpoints of fresh random configurations, beside transformers in eager mode."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not in this environment; `make parity` has it")
pytest.importorskip("transformers", reason="not in this environment; `make parity` has it")

from pretrained_cases import CASES, random_config
from pretrained_check import check
from pretrained_folder import write_folder
from pretrained_peers import random_model, run, saved

from attn_jax import pretrained


@pytest.mark.parametrize("trial", range(3))
@pytest.mark.parametrize("name", CASES)
def test_a_random_checkpoint_computes_the_same(name, trial, tmp_path):
    seed = int(np.random.default_rng().integers(2**31))
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    case, config = CASES[name], random_config(name, rng)
    peer = random_model(case.peer, config, seed)
    model = pretrained.load(write_folder(tmp_path / name, *saved(peer)))
    inputs = case.inputs(rng, config)
    check(model, inputs, run(peer, inputs))
