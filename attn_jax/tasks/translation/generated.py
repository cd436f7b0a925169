"""Pairs that are generated, so that it is known which token comes from which."""

from collections.abc import Callable
from typing import NamedTuple

from attn_jax.tasks.translation.dates import dates_examples
from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.reverse import reverse_examples
from attn_jax.tasks.translation.tokens import Level

__all__ = ["GENERATED", "Generated"]


class Generated(NamedTuple):
    """How a task of pairs is made.

    Attributes:
        examples: From how many of each split, by keyword, and a seed to those of each.
        level: What a token is.
        usual: How many there are to learn from, if nothing else is asked.
    """

    examples: Callable[..., dict[str, list[Example]]]
    level: Level
    usual: int


def _grammar_examples(**counts: int) -> dict[str, list[Example]]:
    # Its lexicon takes a while to read, so it is imported where it is used.
    from attn_jax.tasks.translation.grammar import grammar_examples

    return grammar_examples(**counts)


GENERATED = {
    "dates": Generated(dates_examples, "characters", 20_000),
    "reverse": Generated(reverse_examples, "characters", 20_000),
    "grammar": Generated(_grammar_examples, "words", 50_000),
}
"""The tasks by name."""
