"""What a decoder heard while it wrote: its maps over the sound, and when each word was said."""

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from attn_jax import measure
from attn_jax.pretrained.reading.tokenizer import Tokenizer

RATE = 16_000
"""The samples in a second of :attr:`Listening.samples`."""
_SMOOTHED = 7  # frames


class Word(NamedTuple):
    """A word that was written.

    Attributes:
        text: The word, with the punctuation after it.
        start: The time at which it begins, in seconds.
        end: The time at which the next word or silence begins.
    """

    text: str
    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class Listening:
    """A recording, the text that was written, and the attention of the decoder.

    Attributes:
        samples: The recording, :data:`RATE` samples a second.
        frame: The seconds from one frame of the encoder to the next.
        written: The tokens that were written, as people read them.
        read: The tokens that were read: the prompt and those written, without the last.
        words: The words, each with the number of tokens that were written before it.
        length: The number of tokens that are text, without the one that ends it.
        over_sound: The weights with which each token was written over all frames,
            `(layers, heads, written, frames)`.
        over_text: The weights of each token that was read over those before it,
            `(layers, heads, read, read)`.
        heads: The layers and heads that align.
    """

    samples: np.ndarray
    frame: float
    written: Sequence[str]
    read: Sequence[str]
    words: Sequence[tuple[str, int]]
    length: int
    over_sound: np.ndarray
    over_text: np.ndarray
    heads: Sequence[tuple[int, int]]

    @property
    def seconds(self) -> float:
        """The length of the recording."""
        return len(self.samples) / RATE

    @cached_property
    def maps(self) -> np.ndarray:
        """The weights over the frames of the recording, without the silence added at its end."""
        # Each token has a frame of its own, however short the recording.
        count = max(int(np.ceil(self.seconds / self.frame)), len(self.written))
        return self.over_sound[..., :count]

    @cached_property
    def aligned(self) -> np.ndarray:
        """The mean of the heads that align, in standard deviations from a frame's mean weight."""
        maps = np.stack([self.maps[layer, head] for layer, head in self.heads])
        # As in the makers' own program: a frame that all tokens look at tells none apart.
        spread = np.maximum(maps.std(-2, keepdims=True), 1e-9)
        maps = (maps - maps.mean(-2, keepdims=True)) / spread
        return ndimage.median_filter(maps, (1, 1, _SMOOTHED)).mean(0)

    @cached_property
    def timed(self) -> list[Word]:
        """The words with their times, by the best alignment in order."""
        links = np.asarray(measure.monotonic_links(jnp.asarray(self.aligned)))
        begins = [*(links.argmax(-1) * self.frame).tolist(), self.seconds]
        places = [*(place for _, place in self.words), self.length]
        return [
            Word(text, begins[start], begins[end])
            for (text, _), (start, end) in zip(self.words, pairwise(places), strict=True)
        ]


def words_of(tokenizer: Tokenizer, tokens: Sequence[int]) -> list[tuple[str, int]]:
    """Return the words of a text, each with the number of tokens before it.

    A word begins with a blank; where no token has one, each is a word.

    Args:
        tokenizer: The tokenizer.
        tokens: The tokens of the text.
    """
    pieces = [tokenizer.decode([token]) for token in tokens]
    has_blanks = any(piece.startswith(" ") for piece in pieces)
    places = [
        i for i, piece in enumerate(pieces) if not (i and has_blanks) or piece.startswith(" ")
    ]
    return [
        (tokenizer.decode(tokens[start:end]).strip(), start)
        for start, end in pairwise([*places, len(tokens)])
    ]
