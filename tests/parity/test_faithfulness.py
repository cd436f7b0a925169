"""What keys are worth, beside captum on fresh random models; `make parity` runs it."""

import os

import numpy as np
import pytest

pytest.importorskip("captum", reason="captum is not in this environment; `make parity` has it")

from faithfulness_cases import draw, ours
from faithfulness_peers import theirs

# Fresh at every run, and printed by pytest with a failure, so that it can be had again.
SEED = int(os.environ.get("PARITY_SEED", np.random.SeedSequence().entropy % 2**32))


@pytest.mark.parametrize("trial", range(3))
def test_it_gives_what_captum_gives(trial):
    print(f"PARITY_SEED={SEED}")
    arrays = draw(np.random.default_rng([SEED, trial]))
    found, expected = ours(arrays), theirs(arrays)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=2e-5, rtol=2e-5, err_msg=name)
