"""Write the golden files of scores and normalisers; `make golden` runs it beside its peers."""

import importlib.metadata
import zlib
from pathlib import Path

import numpy as np
from comparison import in_torch
from scores_cases import CASES
from scores_peers import PEERS
from structure_cases import normal

FOLDER = Path(__file__).parent
VERSIONS = [f"{name} {importlib.metadata.version(name)}" for name in ("torch", "keras", "entmax")]


def main():
    for name, (inputs, _) in CASES.items():
        seed = zlib.crc32(name.encode())
        rng = np.random.default_rng(seed)
        arrays, options = inputs(rng)
        output, gradients, toward = in_torch(
            PEERS[name], arrays, options, lambda shape, rng=rng: normal(rng, *shape)
        )
        np.savez_compressed(
            FOLDER / f"scores_{name}.npz",
            seed=seed,
            versions=VERSIONS,
            toward=toward,
            output=output,
            **{f"array_{key}": x for key, x in arrays.items()},
            **{f"option_{key}": x for key, x in options.items()},
            **{f"gradient_{key}": x for key, x in gradients.items()},
        )
        print(f"scores_{name}.npz")


if __name__ == "__main__":
    main()
