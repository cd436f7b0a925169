"""Training of a translator, compared with PyTorch, and decoding, compared with a Python loop."""

import contextlib
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.peers import SameModel
from experiments.benchmarks.record import Result, limit_cores, machine, spread_text, write
from experiments.benchmarks.translation_bound import BOUND
from experiments.memory import ENVIRONMENT, keep_freed_memory

PART = "translation"
THREADS = 2
EPOCHS = 5
SEEDS = (0, 1, 2)
DECODED = 128
DECODING_ROUNDS = 5
SIDES = ("ours", "torch")
_TORCH = Path(__file__).with_name("translation_torch.py")


def bitext(epochs: int, seed: int = 0) -> Any:
    """Return the experiment that is measured: Bahdanau's model on real pairs, without dropout."""
    from experiments.configs.translation_additive import experiment

    return dataclasses.replace(
        experiment,
        task=dataclasses.replace(experiment.task, name="bitext"),
        train=dataclasses.replace(experiment.train, epochs=epochs, log_every=0, seed=seed),
    )


def train_both(epochs: int, seed: int) -> dict[str, Any]:
    """Train both for some epochs, in turn, from the same parameters, and score their translations.

    The first epoch of both, in which they compile and warm up, does not count for speed.

    Args:
        epochs: The number of epochs.
        seed: The seed of the parameters and the order of batches.

    Returns:
        Examples per second by epoch, and BLEU and chrF of the test split, of both.
    """
    from attn_jax import train as training
    from experiments.translation.scores import decode_split, longest_target, score_texts

    experiment, theirs = bitext(epochs, seed), []
    examples = experiment.task.examples("test")
    longest = longest_target(experiment.splits)

    def texts(numbers: Mapping[int, Sequence[int]]) -> dict[str, float]:
        tokenizer = experiment.task.target_tokenizer
        translations = [tokenizer.decode(list(map(int, numbers[i]))) for i in numbers]
        return score_texts(translations, [examples[i].target_text for i in numbers])[0]

    def their_turn(state: Any, row: Mapping[str, Any]) -> None:
        theirs.append(peer.ask("epoch"))
        speed = theirs[-1]["examples"] / theirs[-1]["seconds"]
        print(f"epoch {row['epoch']}, PyTorch: {speed:,.0f} examples/s", flush=True)

    with tempfile.TemporaryDirectory() as folder, peer_of(experiment, Path(folder)) as peer:
        result = training.fit(
            experiment.init,
            experiment.apply,
            experiment.loss,
            experiment.task,
            experiment.train,
            Path(folder) / "run",
            on_epoch=their_turn,
        )
        about, buckets = peer.about, experiment.splits["test"]
        numbers = [number for bucket in buckets for number in bucket["example"].tolist()]
        written = [tokens for bucket in peer.ask("written")["written"] for tokens in bucket]
    ours = decode_split(experiment.sized_model(), result.state.params, buckets, longest)
    return {
        "ours": [row["time/examples_per_second"] for row in result.rows[1:]],
        "torch": [epoch["examples"] / epoch["seconds"] for epoch in theirs[1:]],
        "scores": {
            "ours": texts({i: tokens.tolist() for i, tokens in ours.items()}),
            "torch": texts(dict(zip(numbers, written, strict=True))),
        },
        "loss": [result.rows[-1]["train/loss"], theirs[-1]["loss"]],
        "train": sum(len(bucket["source"]) for bucket in experiment.splits["train"]),
        "test": len(numbers),
        "about": about,
    }


@contextlib.contextmanager
def peer_of(experiment: Any, folder: Path) -> Iterator[SameModel]:
    """Start PyTorch with the same model, parameters and sentences."""
    import jax

    from attn_jax.train import make_schedule
    from attn_jax.train.step import stream
    from experiments.translation.scores import longest_target

    splits, config = experiment.splits, experiment.train
    checked = {side: splits["test"][-1][side][:16] for side in ("source", "target")}
    # Training begins with these parameters, which follow from its seed.
    params = experiment.init(stream(jax.random.key(config.seed), "init"), checked)
    arrays = {
        "/".join(entry.key for entry in path): np.asarray(leaf)
        for path, leaf in jax.tree.leaves_with_path(params)
    }
    arrays |= {
        f"{split}/{i}/{side}": bucket[side]
        for split in ("train", "test")
        for i, bucket in enumerate(splits[split])
        for side in ("source", "target")
    }
    steps = config.epochs * sum(len(b["source"]) // config.batch_size for b in splits["train"])
    schedule = make_schedule(config, steps)
    arrays |= {f"checked/{side}": array for side, array in checked.items()}
    arrays |= {
        "logits": np.asarray(experiment.apply(params, checked).compute()),
        "schedule": np.array([schedule(step) for step in range(steps)]),
    }
    names = ("batch_size", "weight_decay", "clip_norm", "seed")
    settings = {name: getattr(config, name) for name in names}
    peer = SameModel(
        _TORCH, {**settings, "threads": THREADS, "longest": longest_target(splits)}, arrays, folder
    )
    try:
        yield peer
    finally:
        peer.close()


def decode_both(rounds: int) -> dict[str, Any]:
    """Decode the same sentences greedily, by one program and by a loop that calls the step.

    Args:
        rounds: How often to decode, in turn.

    Returns:
        Tokens per second of both; every sentence is decoded to the longest length.
    """
    import jax
    import jax.numpy as jnp

    from experiments.translation.scores import decoder, longest_target

    experiment = bitext(1)
    model, longest = experiment.sized_model(), longest_target(experiment.splits)
    bucket = max(experiment.splits["train"], key=lambda b: len(b["source"]))
    source = jnp.asarray(bucket["source"][:DECODED])
    batch = {side: bucket[side][:2] for side in ("source", "target")}
    params = experiment.init(jax.random.key(0), batch)
    whole = decoder(model, longest)

    def in_one() -> np.ndarray:
        return np.asarray(whole(params, source)[0])

    start = jax.jit(lambda p, s: model.apply({"params": p}, s, longest, method="start"))
    step = jax.jit(lambda p, *args: model.apply({"params": p}, *args, method="step"))

    def in_a_loop(sentences: jax.Array) -> np.ndarray:
        memory, state = start(params, sentences)
        token = np.full(len(sentences), model.begin, np.int32)
        written = []
        for position in range(longest):
            state, logits = step(params, memory, state, token, position)
            token = np.asarray(logits).argmax(-1).astype(np.int32)
            written.append(token)
        return np.stack(written, axis=1)

    def one_by_one() -> np.ndarray:
        return np.concatenate([in_a_loop(source[i : i + 1]) for i in range(len(source))])

    ways = {"in one": in_one, "batch loop": lambda: in_a_loop(source), "loop": one_by_one}
    speeds = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            seconds = _seconds(way)
            if turn:  # the first compiles
                speeds[name].append(source.shape[0] * longest / seconds)
    return {**speeds, "sentences": len(source), "length": longest}


def _seconds(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def report(runs: Sequence[Mapping[str, Any]], decoded: Mapping[str, Any]) -> Result:
    """Make the page from a training run of each seed and the decoding speeds."""
    ours, theirs = ([speed for run in runs for speed in run[side]] for side in ("ours", "torch"))
    ratio = [a / b for a, b in zip(ours, theirs, strict=True)]
    batched, looped = (
        [one / other for one, other in zip(decoded["in one"], decoded[way], strict=True)]
        for way in ("batch loop", "loop")
    )
    quality = [
        (
            name,
            *(", ".join(f"{run['scores'][side][key]:.1f}" for run in runs) for side in SIDES),
            "",
        )
        for name, key in (("BLEU", "bleu"), ("chrF", "chrf"))
    ]
    losses = [", ".join(f"{run['loss'][side]:.3f}" for run in runs) for side in (0, 1)]
    first = runs[0]
    return Result(
        part=PART,
        title="Translation, beside PyTorch and beside a loop",
        what=(
            "Training Bahdanau's translator (bidirectional GRU, additive attention) on real "
            "English-French pairs, ours through `attn_jax.train.fit`, PyTorch's in a plain loop "
            "over tensors in memory with its packed GRU and fused AdamW: the same model from the "
            "same parameters (their logits are compared first), the same buckets, batch and "
            f"learning rates, in float32 on {THREADS} cores, one epoch of each in turn. Then both "
            "translate the test split greedily, judged by sacrebleu. Decoding is compared with "
            "loops in Python that call the same jitted step for each token: for the whole batch at "
            "once, and sentence by sentence. Shown are medians and quartiles."
        ),
        header=("what", "ours", "beside", "ratio"),
        rows=[
            (
                "training, examples/s, beside PyTorch",
                spread_text(ours, ",.0f"),
                spread_text(theirs, ",.0f"),
                spread_text(ratio, ".2f"),
            ),
            *(
                (f"{name} of the test split, by seed, beside PyTorch", *row)
                for name, *row in quality
            ),
            (
                "greedy decoding, tokens/s, beside a loop over sentences and tokens",
                spread_text(decoded["in one"], ",.0f"),
                spread_text(decoded["loop"], ",.0f"),
                spread_text(looped, ".1f"),
            ),
            (
                "greedy decoding, tokens/s, beside a loop over tokens of the same batch",
                spread_text(decoded["in one"], ",.0f"),
                spread_text(decoded["batch loop"], ",.0f"),
                spread_text(batched, ".1f"),
            ),
        ],
        notes=[
            f"{first['train']:,} pairs to learn from, {first['test']:,} to be judged by; "
            f"{len(ratio)} epochs of {len(runs)} seeds count; loss in the last {losses[0]} ours, "
            f"{losses[1]} PyTorch's; its threads: {first['about']['threads']}.",
            "The C library of both processes keeps freed memory instead of returning it to the "
            "system, as `make train` has it do; without that our steps took 6 to 20 % more time of "
            "the processor.",
            f"Decoded are {decoded['sentences']} sentences to {decoded['length']} tokens each.",
        ],
        more=BOUND,
        data={"training": [dict(run) for run in runs], "decoding": dict(decoded)},
        versions={"torch": first["about"]["version"]},
    )


def main() -> None:
    """Measure both and write the page."""
    limit_cores(THREADS)
    keep_freed_memory()
    os.environ.update(ENVIRONMENT)  # for PyTorch's process
    where = machine()
    decoded = decode_both(DECODING_ROUNDS)
    trained = [train_both(EPOCHS, seed) for seed in SEEDS]
    write(dataclasses.replace(report(trained, decoded), where=where))


if __name__ == "__main__":
    main()
