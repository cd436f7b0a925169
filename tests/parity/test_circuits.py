"""The verbs of circuits on fresh random checkpoints and texts, beside TransformerLens."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers", reason="not in this environment; `make parity` has it")

from circuits_lenses_check import CHECKS
from pretrained_cases import CASES, random_config
from pretrained_folder import write_folder
from pretrained_peers import random_model, saved

from attn_jax import pretrained

ROOT = Path(__file__).parents[2]
LENS = ROOT / ".peers-lens/bin/python"
SCRIPT = ROOT / "tests/golden/circuits_lenses_peers.py"
NAMES = ("gpt2", "llama")


def texts(rng):
    """Draw texts in which tokens come again, and others that differ in one token."""
    half = rng.permuted(np.tile(np.arange(2, 50), (2, 1)), axis=1)[:, :5]
    tokens = np.concatenate([np.ones((2, 1), int), half, half], 1)
    corrupted = tokens.copy()
    corrupted[:, rng.integers(1, 6)] = tokens[::-1, 2]
    return {"tokens": tokens, "corrupted": corrupted, "difference": rng.permutation(50)[:2]}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Checkpoints by name, each with what TransformerLens gives for it."""
    if not LENS.exists():
        pytest.skip(f"{LENS.parents[1].name} is not there; `make parity` makes it")
    seed = int(np.random.default_rng().integers(2**31))
    print(f"seed {seed}")
    rng, folder, models = np.random.default_rng(seed), tmp_path_factory.mktemp("lens"), {}
    for name in NAMES:
        config, tensors = saved(random_model(CASES[name].peer, random_config(name, rng), seed))
        models[name] = pretrained.load(write_folder(folder / name, config, tensors))
        tensors = {f"tensor/{key}": x for key, x in tensors.items()}
        path = folder / f"pretrained_{name}.npz"
        np.savez(path, config=json.dumps(config), **texts(rng), **tensors)
    subprocess.run([LENS, SCRIPT, folder], check=True)
    golden = {name: np.load(folder / f"circuits_lenses_{name}.npz") for name in NAMES}
    return {name: (models[name], golden[name]) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_verb_gives_what_transformerlens_gives(pairs, check, name):
    check(*pairs[name])
