"""Write the golden files of positions and structure; `make golden` runs it beside its peers."""

import zlib
from pathlib import Path

import numpy as np
import torch
import transformers
from comparison import in_torch
from structure_cases import CASES, normal
from structure_peers import PEERS

FOLDER = Path(__file__).parent


def main():
    for name, (inputs, _) in CASES.items():
        seed = zlib.crc32(name.encode())
        rng = np.random.default_rng(seed)
        arrays, options = inputs(rng)
        output, gradients, toward = in_torch(
            PEERS[name], arrays, options, lambda shape, rng=rng: normal(rng, *shape)
        )
        np.savez_compressed(
            FOLDER / f"structure_{name}.npz",
            seed=seed,
            versions=[f"torch {torch.__version__}", f"transformers {transformers.__version__}"],
            toward=toward,
            output=output,
            **{f"array_{key}": x for key, x in arrays.items()},
            **{f"option_{key}": x for key, x in options.items()},
            **{f"gradient_{key}": x for key, x in gradients.items()},
        )
        print(f"structure_{name}.npz")


if __name__ == "__main__":
    main()
