"""What a checkpoint is held to, whoever computed the expected values."""

import jax
import numpy as np

from attn_jax.hooks import capture

TOLERANCE, MAP_TOLERANCE = 2e-5, 2e-6


def check(model, inputs, expected):
    """Compare the output and the hook points that are expected, where they are not NaN."""
    names = [name for name in expected if name != "output"]
    compare(*jax.jit(capture(model, names))(inputs), expected)


def compare(out, captured, expected):
    """Compare an output and captured values with those that are expected."""
    computed = {"output": out, **captured}
    for name, x in expected.items():
        tolerance = MAP_TOLERANCE if name.endswith("weights") else TOLERANCE
        close(np.asarray(computed[name]), x, tolerance, name)


def close(x, expected, tolerance, name=""):
    """Compare arrays to a tolerance times the largest value, or times one if that is larger."""
    exists = ~np.isnan(expected)
    largest = max(1, np.abs(expected[exists]).max())
    np.testing.assert_allclose(
        x[exists], expected[exists], rtol=0, atol=tolerance * largest, err_msg=name
    )
