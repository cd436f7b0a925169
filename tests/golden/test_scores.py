"""Scores and normalisers against what PyTorch, Keras and `entmax` gave."""

from pathlib import Path

import numpy as np
import pytest
from comparison import in_jax
from scores_cases import CASES


def part(file, prefix):
    return {name.removeprefix(prefix): file[name] for name in file if name.startswith(prefix)}


@pytest.mark.parametrize("name", CASES)
def test_it_gives_what_the_peer_gave(name):
    with np.load(Path(__file__).parent / f"scores_{name}.npz") as file:
        arrays, gradients = part(file, "array_"), part(file, "gradient_")
        options = {key: x.item() for key, x in part(file, "option_").items()}
        toward, expected = file["toward"], file["output"]
    output, found = in_jax(CASES[name][1], arrays, options, toward)
    np.testing.assert_allclose(output, expected, atol=1e-5, rtol=1e-5)
    for key, gradient in gradients.items():
        np.testing.assert_allclose(found[key], gradient, atol=5e-5, rtol=1e-4, err_msg=key)
