"""What a recognizer heard, and when."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from attn_jax._extras import require
from attn_jax.tasks.translation.tokens import END, PAD

_BATCH = 50

Buckets = Sequence[Mapping[str, np.ndarray]]


class Heard(NamedTuple):
    """What was heard in an utterance.

    Attributes:
        row: The utterance's index in its split.
        target: The numbers of the words that were said.
        tokens: The numbers of the words that were heard.
        map: How much each state tells of each word that was said, (words, states).
        times: The seconds at which each word that was said is heard, (words,).
        truth: The seconds at which each word begins and the last one ends; empty if unknown.
        seconds: The length of the utterance.
        new_accent: Whether training never heard the accent.
    """

    row: int
    target: np.ndarray
    tokens: np.ndarray
    map: np.ndarray
    times: np.ndarray
    truth: np.ndarray
    seconds: float
    new_accent: bool


def batches(buckets: Buckets) -> Iterator[tuple[dict[str, np.ndarray], int]]:
    """Yield batches of one size, the last of a bucket filled up, and how many rows of each count.

    A batch of another size would be compiled anew.
    """
    for bucket in buckets:
        count = len(bucket["target"])
        for first in range(0, count, _BATCH):
            rows = np.arange(first, first + _BATCH) % count
            yield {name: array[rows] for name, array in bucket.items()}, min(_BATCH, count - first)


def hear(
    run: Callable[[Mapping[str, Any]], tuple[np.ndarray, np.ndarray, np.ndarray]],
    buckets: Buckets,
    rate: float,
    state: float,
) -> list[Heard]:
    """Let a recognizer hear the utterances of a split, in the order of the task.

    Args:
        run: A function from a batch to the tokens heard, (n, words); the map of the words said,
            (n, words said, states); and the places of these words, in states, (n, words said).
        buckets: The split.
        rate: The samples of a second.
        state: The seconds of a state.
    """
    heard = []
    for batch, count in batches(buckets):
        tokens, maps, places = run(batch)
        for i in range(count):
            target = words_of(batch["target"][i])
            seconds = float(batch["samples"][i] / rate)
            times = batch["times"][i][: len(target) + 1]
            heard.append(
                Heard(
                    row=int(batch["row"][i]),
                    target=target,
                    tokens=words_of(tokens[i]),
                    map=maps[i, : len(target), : int(np.ceil(seconds / state))],
                    times=(places[i, : len(target)] + 0.5) * state,
                    truth=times if times.min(initial=0) >= 0 else times[:0],
                    seconds=seconds,
                    new_accent=bool(batch["new_accent"][i]),
                )
            )
    return sorted(heard, key=lambda each: each.row)


def words_of(tokens: np.ndarray) -> np.ndarray:
    """Return the tokens before the end, without padding.

    Example:
        >>> words_of(np.array([7, 5, END, PAD, 5])).tolist()
        [7, 5]
    """
    ends = np.flatnonzero(tokens == END)
    before = tokens[: ends[0]] if len(ends) else tokens
    return before[before != PAD]


def timing_errors(heard: Sequence[Heard]) -> dict[str, float]:
    """Return how far, in milliseconds, words are heard from the middle of where they are said.

    Returns:
        `median_ms` and `mean_ms` over all words; `inside`, the share of words heard between their
        beginning and their end; and `even_ms`, the median of a guess that spaces the words evenly
        over the utterance. Nothing if the true times are not known.
    """
    known = [each for each in heard if len(each.truth)]
    if not known:
        return {}
    begin = np.concatenate([each.truth[:-1] for each in known])
    end = np.concatenate([each.truth[1:] for each in known])
    times = np.concatenate([each.times for each in known])
    even = np.concatenate([evenly(len(each.target), each.seconds) for each in known])
    errors, guessed = (1000 * np.abs(each - (begin + end) / 2) for each in (times, even))
    return {
        "median_ms": float(np.median(errors)),
        "mean_ms": float(errors.mean()),
        "inside": float(((begin <= times) & (times < end)).mean()),
        "even_ms": float(np.median(guessed)),
    }


def evenly(count: int, seconds: float) -> np.ndarray:
    """Return the middles of so many equal parts.

    Example:
        >>> evenly(2, 4.0).tolist()
        [1.0, 3.0]
    """
    return (np.arange(count) + 0.5) / count * seconds


def word_error_rate(said: Sequence[Sequence[str]], heard: Sequence[Sequence[str]]) -> float:
    """Return the word error rate over all utterances together, by jiwer.

    Raises:
        MissingPackageError: If the package `jiwer` is not installed.
    """
    require("jiwer", extra="speech")
    import jiwer  # pyright: ignore[reportMissingImports]

    return float(jiwer.wer(list(map(" ".join, said)), list(map(" ".join, heard))))
