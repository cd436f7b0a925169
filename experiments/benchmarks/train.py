"""Training speed of our loop, compared with the same model in PyTorch."""

import contextlib
import dataclasses
import importlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.peers import SameModel
from experiments.benchmarks.record import Result, limit_cores, machine, spread_text, write

PART = "train"
THREADS = 2
ROUNDS = {"mnist_article": 8, "mnist_additive": 2}
_TORCH = Path(__file__).with_name("train_torch.py")
_COMPARED = 64


def compare(name: str, rounds: int) -> dict[str, Any]:
    """Train an experiment for some epochs, and PyTorch for one epoch after each of them.

    The first epoch of both, in which they compile and warm up, is not counted.

    Args:
        name: The experiment.
        rounds: The number of epochs that count.

    Returns:
        Examples per second of both in each round, their ratios, and the final accuracies.
    """
    from attn_jax import train as training

    experiment = importlib.import_module(f"experiments.configs.{name}").experiment
    config = dataclasses.replace(experiment.train, epochs=rounds + 1, log_every=0)
    theirs: list[dict[str, Any]] = []

    def their_turn(state: Any, row: Mapping[str, Any]) -> None:
        theirs.append(peer.ask("epoch"))
        speed = row["step"] // row["epoch"] * config.batch_size / theirs[-1]["seconds"]
        print(f"epoch {row['epoch']}, PyTorch: {speed:,.0f} examples/s", flush=True)

    with tempfile.TemporaryDirectory() as folder, peer_of(experiment, Path(folder)) as peer:
        print(f"{name}: {rounds + 1} epochs of each, in turn", flush=True)
        result = training.fit(
            experiment.init,
            experiment.apply,
            experiment.loss,
            experiment.task,
            config,
            Path(folder) / "run",
            on_epoch=their_turn,
        )
        about = peer.about
    batches = result.rows[0]["step"] * config.batch_size
    ours = [row["time/examples_per_second"] for row in result.rows[1:]]
    torch = [batches / epoch["seconds"] for epoch in theirs[1:]]
    return {
        "batch_size": config.batch_size,
        "ours": ours,
        "torch": torch,
        "ratio": [one / other for one, other in zip(ours, torch, strict=True)],
        "torch_seconds": [epoch["seconds"] for epoch in theirs[1:]],
        "our_seconds": [batches / speed for speed in ours],
        "accuracy": [result.rows[-1]["train/accuracy"], theirs[-1]["accuracy"]],
        "torch_threads": about["threads"],
        "torch_version": about["version"],
    }


@contextlib.contextmanager
def peer_of(experiment: Any, folder: Path) -> Iterator[SameModel]:
    """Start PyTorch with the same model, parameters and data."""
    import jax

    train = experiment.task.load()["train"][0]
    batch = experiment.task.prepare({"image": train["image"][:_COMPARED]})
    params = experiment.init(jax.random.key(0), batch)
    arrays = {
        "/".join(entry.key for entry in path): np.asarray(leaf)
        for path, leaf in jax.tree.leaves_with_path(params)
    }
    arrays |= {"images": train["image"], "labels": train["label"]}
    arrays["logits"] = np.asarray(experiment.apply(params, batch))
    names = ("batch_size", "learning_rate", "weight_decay", "clip_norm")
    settings = {name: getattr(experiment.train, name) for name in names}
    settings |= {name: getattr(experiment.task, name) for name in ("shift", "warp")}
    settings |= {"threads": THREADS, "dropout_rate": experiment.model.dropout_rate}
    settings |= {name: getattr(experiment.model.stem, name, ()) for name in ("sizes", "strides")}
    peer = SameModel(_TORCH, settings, arrays, folder)
    try:
        yield peer
    finally:
        peer.close()


def report(measured: Mapping[str, Mapping[str, Any]]) -> Result:
    """Make the page from the results of `compare` for each experiment."""
    return Result(
        part=PART,
        title="Training on MNIST, beside PyTorch",
        what=(
            "Examples a second while training: ours as `attn_jax.train.fit` reports them, with the "
            "order of the examples, gathering, augmentation and metrics; PyTorch's in a plain loop "
            "over tensors in memory (no DataLoader) with its fused AdamW. Both train the same "
            "model from the same parameters (their logits are compared first), with the same batch "
            f"and augmentation, in float32 on {THREADS} cores, one epoch of each in turn; PyTorch "
            "uses as many threads as it is fastest with. "
            "Shown are the median and the quartiles of the rounds; a ratio is of one round."
        ),
        header=(
            "experiment",
            "ours, examples/s",
            "PyTorch, examples/s",
            "ratio",
            "PyTorch's epoch",
        ),
        rows=[_row(name, speeds) for name, speeds in measured.items()],
        notes=[
            f"`{name}`: batch {speeds['batch_size']}, {len(speeds['ratio'])} rounds; accuracy on "
            f"the training images in the last, {speeds['accuracy'][0]:.2%} ours, "
            f"{speeds['accuracy'][1]:.2%} PyTorch's; its threads: {speeds['torch_threads']}."
            for name, speeds in measured.items()
        ],
        data={"experiments": dict(measured)},
        versions={"torch": next(iter(measured.values()))["torch_version"]},
    )


def _row(name: str, speeds: Mapping[str, Any]) -> tuple[str, ...]:
    sides = [spread_text(speeds[side], ",.0f") for side in ("ours", "torch")]
    seconds = spread_text(speeds["torch_seconds"], ".1f")
    return (f"`{name}`", *sides, spread_text(speeds["ratio"], ".2f"), f"{seconds} s")


def main() -> None:
    """Measure every experiment of `ROUNDS` and write the page."""
    limit_cores(THREADS)
    where = machine()
    measured = {name: compare(name, rounds) for name, rounds in ROUNDS.items()}
    write(dataclasses.replace(report(measured), where=where))


if __name__ == "__main__":
    main()
