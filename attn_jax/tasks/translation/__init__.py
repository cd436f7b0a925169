"""Pairs of sentences to translate, with the links between their tokens where they are known.

A pair is an :class:`Example`. A source of pairs is a function that returns the examples of each
split, and :class:`Translation` turns them into rows of numbers. On both sides 0 is padding, 1 the
beginning, 2 the end, and 3 a token that is not in the training split.
"""

from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.task import Translation
from attn_jax.tasks.translation.tokens import BEGIN, END, PAD, UNKNOWN

__all__ = ["BEGIN", "END", "PAD", "UNKNOWN", "Example", "Translation"]
