"""The patches of images that a report card replaces by those of others."""

import numpy as np
import pytest

from experiments.image import resample_patches


@pytest.mark.parametrize("grid", [(7, 7), (28, 1), (3, 5)], ids=["patches", "rows", "uneven"])
def test_only_the_patches_of_other_tokens_are_replaced(grid):
    rng = np.random.default_rng(0)
    images, others = rng.random((2, 3, 28, 28)).astype(np.float32)
    keep = rng.random((3, grid[0] * grid[1])) < 0.5
    result = np.asarray(resample_patches(grid, images, keep, others))
    for n, row, column in np.ndindex(3, 28, 28):
        token = row * grid[0] // 28 * grid[1] + column * grid[1] // 28
        source = images if keep[n, token] else others
        assert result[n, row, column] == source[n, row, column]
