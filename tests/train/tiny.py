"""A model and a task that train in a second; run as a program, it is what the tests kill.

`python tiny.py RUN_DIR new|resume` prints its messages and exits with 128 + n after signal n.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax.train import TrainConfig, TrainingInterrupted, classification_loss, fit

CLASSES, FEATURES, HIDDEN = 3, 5, 7


class Tiny:
    """Points around three centres, in buckets of the given sizes, with noise in training."""

    def __init__(self, train=(101,), validation=(13,), test=(11,), noise=True):
        self.noise = noise
        self.sizes = {"train": train, "validation": validation, "test": test}

    def load(self):
        rng = np.random.default_rng(0)
        centres = rng.normal(size=(CLASSES, FEATURES)) * 40 + 128
        return {
            split: [
                self._bucket(rng, centres, size, tokens + 2) for tokens, size in enumerate(sizes)
            ]
            for split, sizes in self.sizes.items()
        }

    def _bucket(self, rng, centres, size, tokens):
        label = rng.integers(0, CLASSES, size).astype(np.int32)
        points = centres[label][:, None] + rng.normal(size=(size, tokens, FEATURES)) * 20
        return {"points": points.clip(0, 255).astype(np.uint8), "label": label}

    def prepare(self, batch, rng=None):
        points = batch["points"].astype(float) / 128 - 1
        if rng is not None and self.noise:
            points = points + 0.01 * jax.random.normal(rng, points.shape)
        return {"points": points, "label": batch["label"]}


class Rows:
    """Rows of arrays, which note which of them are read."""

    def __init__(self, arrays, reads):
        self.arrays, self.reads = arrays, reads

    def __len__(self):
        return len(self.arrays["label"])

    def __getitem__(self, index):
        self.reads.append(index)
        # int64, as TFDS gives labels.
        label = np.int64(self.arrays["label"][index])
        return {"points": self.arrays["points"][index], "label": label}


class Streamed:
    """The tiny task with its records read one by one."""

    streamed = True

    def __init__(self, **sizes):
        self.held, self.reads = Tiny(**sizes), []

    def records(self):
        return {split: Rows(buckets[0], self.reads) for split, buckets in self.held.load().items()}

    def prepare(self, batch, rng=None):
        return self.held.prepare(batch, rng)


def init(rng, batch):
    inner, outer = jax.random.split(rng)
    features = batch["points"].shape[-1]
    return {
        "inner": {
            "kernel": jax.random.normal(inner, (features, HIDDEN)),
            "bias": jnp.zeros(HIDDEN),
        },
        "outer": {"kernel": jax.random.normal(outer, (HIDDEN, CLASSES))},
    }


def apply(params, batch, *, rng=None, train=False):
    hidden = jnp.tanh(batch["points"].mean(1) @ params["inner"]["kernel"])
    hidden = hidden + params["inner"]["bias"][None]
    if train:
        hidden = hidden * jax.random.bernoulli(rng, 0.9, hidden.shape) / 0.9
    return hidden @ params["outer"]["kernel"]


def quiet_apply(params, batch, *, rng=None, train=False):
    """The model without dropout."""
    return apply(params, batch)


# With 25 steps an epoch no two of the periods share a divisor, so that checkpoints carry sums.
CONFIG = TrainConfig(
    epochs=5,
    batch_size=4,
    learning_rate=1e-2,
    log_every=7,
    checkpoint_every=4,
    steps_per_call=3,
    keep=2,
)


def train(run_dir, *, resume=False, config=CONFIG, **options):
    """Fits the tiny model."""
    options = {"apply": apply, "task": Tiny(), "command": {"experiment": "tiny"}} | options
    return fit(
        init,
        options.pop("apply"),
        classification_loss,
        options.pop("task"),
        config,
        run_dir,
        resume=resume,
        on_epoch=options.pop("on_epoch", lambda state, row: {"double": 2 * row["train/loss"]}),
        devices=options.pop("devices", jax.devices()[:1]),
        **options,
    )


def main():
    try:
        train(Path(sys.argv[1]), resume=sys.argv[2] == "resume")
    except TrainingInterrupted as stop:
        print(stop, flush=True)
        sys.exit(128 + stop.number)


if __name__ == "__main__":
    main()
