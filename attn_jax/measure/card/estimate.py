"""How long the tests of a card take that run the model many times over."""

import time
from typing import Any

import jax

from attn_jax.measure.adversary import runs_of_search
from attn_jax.measure.card.further import STARTS, STEPS
from attn_jax.measure.reweigh import Model


def announce(fn: Model, inputs: Any, *, adversarial: bool, randomization: bool) -> None:
    """Print how long the tests that were asked for by name will take.

    The model is compiled and timed on the inputs.

    Args:
        fn: The model.
        inputs: A batch of its inputs.
        adversarial: Whether the search for adversarial weights was asked for.
        randomization: Whether the comparison with shuffled parameters was.
    """
    runs = {}
    if adversarial:
        runs["The adversarial search"] = runs_of_search(STARTS, STEPS)
    if randomization:
        runs["The randomization test"] = 2  # to shuffle the parameters takes as long as a run
    seconds = _seconds(fn, inputs) if runs else 0
    for name, count in runs.items():
        print(f"{name} takes about {_duration(seconds * count)}, as long as {count} runs.")


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def _seconds(fn: Model, inputs: Any) -> float:
    run = jax.jit(lambda inputs: fn(inputs))  # of fn itself JAX would keep the program
    jax.block_until_ready(run(inputs))
    start = time.perf_counter()
    jax.block_until_ready(run(inputs))
    return time.perf_counter() - start
