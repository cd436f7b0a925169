"""Pairs of sentences to translate, with the links between their tokens where they are known.

A pair is an :class:`Example`; a source of pairs is a function that gives the examples of each
split; :class:`Translation` makes them rows of numbers. On both sides 0 fills a row up, 1 begins it,
2 ends it, and 3 is a token never met in training.
"""

from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.task import Translation
from attn_jax.tasks.translation.tokens import BEGIN, END, PAD, UNKNOWN

__all__ = ["BEGIN", "END", "PAD", "UNKNOWN", "Example", "Translation"]
