"""Write the golden files of tiny checkpoints; `make golden` runs it beside its peers.

Names of families as arguments write those alone.
"""

import json
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
import transformers
from pretrained_cases import CASES
from pretrained_peers import random_model, run, saved

FOLDER = Path(__file__).parent


def main():
    for name in sys.argv[1:] or CASES:
        case, seed = CASES[name], zlib.crc32(name.encode())
        model = random_model(case.peer, case.config, seed)
        inputs = case.inputs(np.random.default_rng(seed), case.config)
        config, tensors = saved(model)
        np.savez_compressed(
            FOLDER / f"pretrained_{name}.npz",
            versions=[f"torch {torch.__version__}", f"transformers {transformers.__version__}"],
            config=json.dumps(config),
            **{f"input/{key}": x for key, x in inputs.items()},
            **{f"expected/{key}": x for key, x in run(model, inputs).items()},
            **{f"tensor/{key}": x for key, x in tensors.items()},
        )
        print(f"pretrained_{name}.npz")


if __name__ == "__main__":
    main()
