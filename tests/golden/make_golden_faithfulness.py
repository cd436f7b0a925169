"""Write the golden file of what keys are worth; `make golden` runs it beside its peers."""

from pathlib import Path

import captum
import numpy as np
import torch
from faithfulness_cases import draw
from faithfulness_peers import theirs


def main():
    arrays = draw(np.random.default_rng(0))
    np.savez_compressed(
        Path(__file__).parent / "faithfulness.npz",
        versions=[f"captum {captum.__version__}", f"torch {torch.__version__}"],
        **{f"array_{name}": array for name, array in arrays.items()},
        **{f"expected_{name}": array for name, array in theirs(arrays).items()},
    )
    print("faithfulness.npz")


if __name__ == "__main__":
    main()
