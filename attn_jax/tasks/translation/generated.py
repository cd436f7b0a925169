"""The generated tasks, whose alignments are known exactly."""

from collections.abc import Callable
from typing import NamedTuple

from attn_jax.tasks.translation.dates import dates_examples
from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.reverse import reverse_examples
from attn_jax.tasks.translation.tokens import Level

__all__ = ["GENERATED", "Generated"]


class Generated(NamedTuple):
    """A generated task.

    Attributes:
        examples: A function of the numbers of examples and a seed, by keyword, that returns the
            examples of each split.
        level: The level of its tokens.
        usual: The number of training examples by default.
    """

    examples: Callable[..., dict[str, list[Example]]]
    level: Level
    usual: int


def _grammar_examples(**counts: int) -> dict[str, list[Example]]:
    # Its lexicon takes a while to build, so it is imported where it is used.
    from attn_jax.tasks.translation.grammar import grammar_examples

    return grammar_examples(**counts)


GENERATED = {
    "dates": Generated(dates_examples, "characters", 20_000),
    "reverse": Generated(reverse_examples, "characters", 20_000),
    "grammar": Generated(_grammar_examples, "words", 50_000),
}
"""The generated tasks by name."""
