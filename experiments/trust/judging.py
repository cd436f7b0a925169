"""Report cards of models whose truth is known."""

import concurrent.futures
import functools
import multiprocessing
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax

from attn_jax import measure
from experiments.trust import grammar, trained
from experiments.trust.construction import answer
from experiments.trust.truth import Label, Truth

SIZES = (256, 32)
"""How many examples a card gets."""

# A card compiles once for a function object.
_ANSWERS = {tells: functools.partial(answer, tells_masks=tells) for tells in (True, False)}


class Judged(NamedTuple):
    """A model and its card.

    Attributes:
        group: `drawn` or `trained`.
        kind: The model's kind.
        seed: Its seed.
        label: What is true of it.
        numbers: The numbers that this follows from.
        mask: Its mask.
        tells_masks: Whether its taps carry the mask.
        examples: The number of examples.
        reads: The verdict of the card.
        answers: Its answers to its questions, in a word each.
        words: The same in sentences.
        lines: The values of its lines.
        seconds: How long it took.
    """

    group: str
    kind: str
    seed: int
    label: Label
    numbers: Mapping[str, float]
    mask: str
    tells_masks: bool
    examples: int
    reads: str
    answers: Mapping[str, str]
    words: Mapping[str, str]
    lines: Mapping[str, float]
    seconds: float


def judge_drawn(seeds: Sequence[int], examples: int) -> list[Judged]:
    """Judge constructions.

    Args:
        seeds: Their seeds.
        examples: How many sentences of each the card gets; what is true of it follows from all.
    """
    judged = []
    for seed in seeds:
        model = grammar.draw(seed)
        inputs = {name: array[:examples] for name, array in model.construction.inputs().items()}
        facts = "drawn", model.kind.name, seed, model.label, model.truth, model.mask
        fn = _ANSWERS[model.tells_masks]
        judged.append(_judge((*facts, model.tells_masks), fn, inputs, "look.weights"))
    return judged


def judge_trained(
    seeds: Sequence[int], examples: int, recipes: tuple[trained.Recipe, ...] = trained.RECIPES
) -> list[Judged]:
    """Train readers with the first of some seeds, and judge them."""
    params = trained.train_all(seeds, recipes)
    fn = trained.answering(params)
    judged = []
    for reader in trained.readers(params, examples, seeds, recipes):
        facts = "trained", reader.recipe.name, reader.seed, reader.truth.label, reader.truth
        judged.append(_judge((*facts, "whole", False), fn, reader.inputs, "pooling.weights"))
    return judged


def judge_all(seeds: Sequence[int], *, trains: bool = True) -> list[Judged]:
    """Judge drawn models, and trained ones, in two processes: compiling keeps to one core."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, context) as pool:
        jobs = [pool.submit(judge_drawn, seeds, SIZES[0])]
        jobs += [pool.submit(judge_trained, seeds, SIZES[0])] if trains else []
        jobs += [pool.submit(judge_drawn, seeds, size) for size in SIZES[1:]]
        return [each for job in jobs for each in job.result()]


def _judge(
    facts: tuple[str, str, int, Label, Truth, str, bool],
    fn: Any,
    inputs: dict[str, Any],
    attention: str,
) -> Judged:
    group, kind, seed, label, truth, mask, tells_masks = facts
    start = time.perf_counter()
    # The search for adversarial weights decides nothing, and would take most of the time.
    card = measure.report_card(
        fn, inputs, attention=attention, rng=jax.random.key(seed), adversarial=False
    )
    return Judged(
        group,
        kind,
        seed,
        label,
        {name: value for name, value in truth._asdict().items() if name != "label"},
        mask,
        tells_masks,
        card.examples,
        card.reads,
        {question: each.reads for question, each in card.answers.items()},
        {question: each.words for question, each in card.answers.items()},
        {line.name: line.value for line in card.lines},
        time.perf_counter() - start,
    )
