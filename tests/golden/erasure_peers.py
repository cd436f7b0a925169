"""Write what quantus says of keys that are taken away one after the other, the top ones first.

The model and its gates are those of `faithfulness_peers`, with all keys there. It runs in an
environment with quantus and torch: `python erasure_peers.py`.
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import quantus
import torch
from erasure_cases import draw
from faithfulness_peers import answer


class Gated(torch.nn.Module):
    """The model as a function of a gate for each key of each example."""

    def __init__(self, arrays, *, renormalize):
        super().__init__()
        self.arrays = [torch.tensor(arrays[name]) for name in ("x", "mixes", "out", "mask")]
        self.renormalize = renormalize

    def forward(self, gates):
        x, mixes, out, mask = self.arrays
        gates = gates.reshape(mask.shape).double()
        return answer(gates, self.renormalize, x.double(), mixes.double(), out.double(), mask)


def curves(arrays, *, renormalize):
    """Return the probability of the target after each key, `(n, t)`."""
    flipping = quantus.PixelFlipping(
        features_in_step=1,
        perturb_baseline=0.0,
        abs=False,
        normalise=False,
        display_progressbar=False,
        disable_warnings=True,
    )
    scores = flipping(
        model=Gated(arrays, renormalize=renormalize).eval(),
        x_batch=np.ones((len(arrays["target"]), 1, arrays["values"].shape[-1])),
        y_batch=arrays["target"],
        a_batch=arrays["values"][:, None],
        channel_first=True,
        softmax=False,
        batch_size=len(arrays["target"]),
    )
    return np.array(scores)


def main():
    arrays = draw(np.random.default_rng(0))
    np.savez_compressed(
        Path(__file__).parent / "erasure.npz",
        versions=[f"{package} {version(package)}" for package in ("quantus", "torch")],
        raw=curves(arrays, renormalize=False),
        renormalized=curves(arrays, renormalize=True),
        **{f"array_{name}": array for name, array in arrays.items()},
    )
    print("erasure.npz")


if __name__ == "__main__":
    main()
