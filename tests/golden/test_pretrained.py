"""Checkpoints opened by this library, against what transformers computed with the same weights."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from pretrained_cases import CASES
from pretrained_folder import write_folder

from attn_jax import pretrained
from attn_jax.hooks import capture


def close(x, expected, tolerance):
    np.testing.assert_allclose(x, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("name", CASES)
def test_a_tiny_checkpoint_computes_the_same(name, tmp_path):
    golden = np.load(Path(__file__).parent / f"pretrained_{name}.npz")
    tensors = {key.removeprefix("tensor_"): golden[key] for key in golden if "tensor_" in key}
    folder = write_folder(tmp_path / name, json.loads(str(golden["config"])), tensors)
    model = pretrained.load(folder)
    exists = golden["exists"]
    inputs = {"tokens": golden["tokens"], "key_mask": exists}
    out, captured = jax.jit(
        capture(model, ["*.weights", "*.residual", "*.head_output", "*.output"])
    )(inputs)
    close(out[exists], golden["output"][exists], 2e-5)
    for i, weights in enumerate(golden["attentions"]):
        rows = np.moveaxis(captured[f"layers.{i}.attention.weights"], 1, -2)[exists]
        close(rows, np.moveaxis(weights, 1, -2)[exists], 2e-6)
        close(captured[f"layers.{i}.residual"][exists], golden["hidden_states"][i][exists], 2e-5)
        bias = model.variables["params"][f"layers_{i}"]["attention"]["out"].get("bias", 0)
        heads = captured[f"layers.{i}.attention.head_output"].sum(-2)
        close(np.asarray(heads) + np.asarray(bias), captured[f"layers.{i}.attention.output"], 2e-6)
