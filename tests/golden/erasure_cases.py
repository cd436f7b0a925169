"""The small model of `faithfulness_cases` with all keys there, and a map that ranks them."""

import faithfulness_cases
import numpy as np


def draw(rng):
    """The arrays of the model and a batch, and a number for each key."""
    arrays = faithfulness_cases.draw(rng)
    values = rng.normal(size=arrays["mask"].shape).astype(np.float32)
    return arrays | {"mask": np.ones_like(arrays["mask"]), "values": values}
