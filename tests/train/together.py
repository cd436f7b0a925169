"""A process of a run on the CPU; run as a program, it is what `test_processes` starts and kills.

`python together.py '{"place": ["127.0.0.1:1234", 2, 0], "devices": 2, "fits": [{...}]}'` fits the
tiny model again and again, as the items of `fits` say: `run_dir`, `x64`, and settings.
"""

import dataclasses
import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import tiny

from attn_jax import train as training
from attn_jax.train.processes import agreement
from attn_jax.train.processes import join as joining

EXPECTED = (training.ProcessError, training.RunFolderError, ValueError)


def apply(params, batch, *, rng=None, train=False):
    """The tiny model, wide enough that its kernels have axes to split."""
    hidden = jnp.tanh(batch["points"].mean(1) @ params["inner"]["kernel"])
    hidden = hidden + params["inner"]["bias"][None]
    if train:
        hidden = hidden * jax.random.bernoulli(rng, 0.9, hidden.shape) / 0.9
    return hidden @ params["outer"]["kernel"]


def init(rng, batch):
    inner, outer = jax.random.split(rng)
    features = batch["points"].shape[-1]
    return {
        "inner": {"kernel": jax.random.normal(inner, (features, 16)), "bias": jnp.zeros(16)},
        "outer": {"kernel": jax.random.normal(outer, (16, tiny.CLASSES))},
    }


def loss(outputs, batch):
    """Cross-entropy in the precision of the outputs."""
    weight = batch.get("weight", jnp.ones(len(outputs))).astype(outputs.dtype)
    chosen = jnp.take_along_axis(jax.nn.log_softmax(outputs), batch["label"][:, None], 1)[:, 0]
    total, count = -(weight * chosen).sum(), weight.sum()
    correct = (weight * (outputs.argmax(-1) == batch["label"])).sum()
    return total / count, {"loss": (total, count), "accuracy": (correct, count)}


def run(run_dir, *, x64=False, resume=False, slow=0.0, spoilt=-1, streamed=False, **settings):
    """Fits the model once; returns how often process 0 alone was called."""
    jax.config.update("jax_enable_x64", x64)
    config = dataclasses.replace(
        training.TrainConfig(
            epochs=2, batch_size=8, learning_rate=1e-2, log_every=5, eval_batch_size=8
        ),
        **settings,
    )
    calls = []

    def on_epoch(state, row):
        if row["epoch"] == spoilt:
            raise RuntimeError("spoilt")
        calls.append(row["step"])
        batch = tiny.Tiny().prepare(tiny.Tiny().load()["validation"][0])
        return {"mean": float(apply(state.params, batch).mean())}

    training.fit(
        init,
        apply,
        loss,
        tiny.Streamed(train=(208,)) if streamed else tiny.Tiny(train=(208,)),
        config,
        Path(run_dir),
        resume=resume,
        on_epoch=on_epoch,
        on_log=lambda state, row: (calls.append(row["step"]), time.sleep(slow)),
        on_end=lambda result: calls.append("end"),
        resume_hint="start it again",
    )
    return calls


def main():
    given = json.loads(sys.argv[1])
    jax.config.update("jax_num_cpu_devices", given.get("devices", 1))
    joining.HEARTBEAT = given.get("heartbeat", joining.HEARTBEAT)
    agreement.PATIENCE = 1.0
    place = training.Place(*given["place"]) if "place" in given else None
    try:
        with training.join(place, given.get("patience", 60.0)):
            for fit in given["fits"]:
                print("calls", run(**fit), flush=True)
    except training.TrainingInterrupted as stop:
        print(stop, file=sys.stderr)
        sys.exit(128 + stop.number)
    except EXPECTED as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
