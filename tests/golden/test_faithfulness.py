"""What keys are worth, against what captum gave; `make golden` writes the file."""

from pathlib import Path

import numpy as np
from faithfulness_cases import ours


def part(file, prefix):
    return {name.removeprefix(prefix): file[name] for name in file if name.startswith(prefix)}


def test_it_gives_what_captum_gave():
    with np.load(Path(__file__).parent / "faithfulness.npz") as file:
        arrays, expected = part(file, "array_"), part(file, "expected_")
    found = ours(arrays)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=2e-6, rtol=1e-5, err_msg=name)
