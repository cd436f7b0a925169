"""Write the golden files of tiny checkpoints; `make golden` runs it beside its peers."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
import transformers
from pretrained_cases import CASES, inputs
from pretrained_peers import random_model, run

FOLDER = Path(__file__).parent


def main():
    for name, (class_name, config) in CASES.items():
        seed = zlib.crc32(name.encode())
        model = random_model(class_name, config, seed)
        tokens, exists = inputs(np.random.default_rng(seed))
        np.savez_compressed(
            FOLDER / f"pretrained_{name}.npz",
            versions=[f"torch {torch.__version__}", f"transformers {transformers.__version__}"],
            config=json.dumps(model.config.to_diff_dict()),
            tokens=tokens,
            exists=exists,
            **run(model, tokens, exists),
            **{f"tensor_{key}": x.numpy() for key, x in model.state_dict().items()},
        )
        print(f"pretrained_{name}.npz")


if __name__ == "__main__":
    main()
