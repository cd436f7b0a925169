"""Checkpoints opened by this library, against what transformers computed with the same weights."""

import jax
import numpy as np
import pytest
from pretrained_cases import CASES
from pretrained_check import check, close, compare
from pretrained_folder import golden_arrays, write_golden

from attn_jax import pretrained
from attn_jax.hooks import capture


@pytest.fixture(scope="module", params=CASES)
def run(request, tmp_path_factory):
    """A model, the values that are expected, and by one program its output and hook points."""
    name = request.param
    model = pretrained.load(write_golden(name, tmp_path_factory.mktemp(name)))
    expected = golden_arrays(name, "expected")
    patterns = [*(hook for hook in expected if hook != "output"), "*.head_output", "*.output"]
    return model, expected, *jax.jit(capture(model, patterns))(golden_arrays(name, "input"))


def test_a_tiny_checkpoint_computes_the_same(run):
    _, expected, out, captured = run
    compare(out, captured, expected)


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama", "qwen3", "dinov2"])
def test_a_scanned_checkpoint_computes_the_same_under_the_same_names(name, tmp_path):
    model = pretrained.load(write_golden(name, tmp_path), scan=True)
    check(model, golden_arrays(name, "input"), golden_arrays(name, "expected"))


def test_the_contributions_of_heads_sum_to_the_output(run):
    model, _, _, captured = run
    heads = {hook: x for hook, x in captured.items() if hook.endswith(".head_output")}
    assert heads
    for hook, x in heads.items():
        attention = hook.removesuffix(".head_output")
        parameters = _parameters(model, attention)
        bias, scale = parameters["out"].get("bias", 0), parameters.get("scale", 1)
        bias = np.asarray(bias) * np.asarray(scale)
        close(np.asarray(x).sum(-2) + bias, np.asarray(captured[f"{attention}.output"]), 2e-6, hook)


def _parameters(model, name):
    params = model.variables["params"]
    for part in name.replace("layers.", "layers_").split("."):
        params = params[part]
    return params
