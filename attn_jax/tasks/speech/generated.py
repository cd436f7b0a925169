"""Strings of digits and letters, spoken by a synthesizer and kept in the cache."""

import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from attn_jax.tasks.cache import cache_folder, read_arrays, set_aside, write_arrays
from attn_jax.tasks.speech.speaker import Speaker
from attn_jax.tasks.speech.utterance import RATE, Utterance
from attn_jax.tasks.speech.voices import ACCENTS, NEW_ACCENT, VARIANTS, check_voices, draw_voice

__all__ = ["SYMBOLS", "Symbols", "draw_words", "generated_utterances"]

Symbols = Literal["digits", "letters"]

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SYMBOLS: Mapping[str, tuple[str, ...]] = {
    "digits": _DIGITS,
    "letters": (*_DIGITS, *"abcdefghijklmnopqrstuvwxyz"),
}
"""The words of generated utterances: digits, or digits and letters."""

_SPOKEN = {"a": "ay"}  # Alone, it is read as the article.
_SYNTHESIZER = "espeakng-loader 0.2.4"
_FORMAT = 1
_RATES, _PITCHES = (125, 215), (15, 85)
_SILENCE = 0.4


def draw_words(
    symbols: Symbols, lengths: tuple[int, int], rng: np.random.Generator
) -> tuple[str, ...]:
    """Draw the words of an utterance."""
    count = int(rng.integers(lengths[0], lengths[1] + 1))
    return tuple(str(word) for word in rng.choice(SYMBOLS[symbols], count))


def generated_utterances(
    counts: Mapping[str, int], symbols: Symbols, lengths: tuple[int, int], seed: int
) -> dict[str, list[Utterance]]:
    """Return the utterances of each split, from the cache or freshly spoken.

    Args:
        counts: The number of utterances of each split.
        symbols: What is said.
        lengths: The fewest and the most words.
        seed: The seed for words, voices, speeds, pitches and silences.

    Raises:
        MissingPackageError: If they are not in the cache and there is no synthesizer.
        RuntimeError: If the synthesizer crashed.
    """
    recipe = {
        "format": _FORMAT,
        "synthesizer": _SYNTHESIZER,
        "counts": dict(counts),
        "words": SYMBOLS[symbols],
        "lengths": lengths,
        "seed": seed,
        "voices": [ACCENTS, NEW_ACCENT, VARIANTS],
        "speeds": [_RATES, _PITCHES, _SILENCE],
    }
    digest = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]
    path = cache_folder() / "speech" / f"{symbols}-{digest}.npz"
    if path.exists():
        try:
            return _unpacked(read_arrays(path), counts)
        except ValueError as error:
            print(f"{error} {set_aside(path)}", file=sys.stderr)
    begun = time.perf_counter()
    splits = _speak(counts, symbols, lengths, seed)
    write_arrays(path, _packed(splits))
    seconds = time.perf_counter() - begun
    print(f"Spoke {sum(counts.values()):,} utterances in {seconds:.0f} s, kept in {path}")
    return splits


def _speak(
    counts: Mapping[str, int], symbols: Symbols, lengths: tuple[int, int], seed: int
) -> dict[str, list[Utterance]]:
    check_voices()
    splits = {}
    with Speaker() as speaker:
        for number, (split, count) in enumerate(counts.items()):
            rng = np.random.default_rng([seed, number])
            splits[split] = [
                _utterance(speaker, split, symbols, lengths, rng) for _ in range(count)
            ]
    return splits


def _utterance(
    speaker: Speaker,
    split: str,
    symbols: Symbols,
    lengths: tuple[int, int],
    rng: np.random.Generator,
) -> Utterance:
    words, voice = draw_words(symbols, lengths, rng), draw_voice(split, rng)
    rate, pitch = (int(rng.integers(*limits)) for limits in (_RATES, _PITCHES))
    text = " ".join(_SPOKEN.get(word, word) for word in words)
    spoken = speaker.speak(text, voice=voice, rate=rate, pitch=pitch)
    before, after = (int(RATE * _SILENCE * rng.random()) for _ in range(2))
    times = tuple(begin + before / RATE for begin in spoken.times)
    return Utterance(np.pad(spoken.sound, (before, after)), words, times, voice)


def _packed(splits: Mapping[str, Sequence[Utterance]]) -> dict[str, np.ndarray]:
    """Return the utterances as arrays, those of a split one after the other."""
    arrays = {}
    for split, utterances in splits.items():
        texts = [" ".join(each.words) for each in utterances]
        arrays |= {
            f"{split}.sound": np.concatenate([each.sound for each in utterances]),
            f"{split}.samples": np.array([len(each.sound) for each in utterances]),
            f"{split}.text": np.array(texts),
            f"{split}.voice": np.array([each.voice for each in utterances]),
            f"{split}.times": np.concatenate([each.times for each in utterances]),
        }
    return arrays


def _unpacked(
    arrays: Mapping[str, np.ndarray], counts: Mapping[str, int]
) -> dict[str, list[Utterance]]:
    splits = {}
    for split in counts:
        sound, samples, text, voice, times = (
            arrays[f"{split}.{name}"] for name in ("sound", "samples", "text", "voice", "times")
        )
        words = [tuple(str(each).split()) for each in text]
        sounds = np.split(sound, np.cumsum(samples)[:-1])
        ends = np.cumsum([len(each) + 1 for each in words])[:-1]
        parts = (tuple(part.tolist()) for part in np.split(times, ends))
        rows = zip(sounds, words, parts, map(str, voice), strict=True)
        splits[split] = [Utterance(*row) for row in rows]
    return splits
