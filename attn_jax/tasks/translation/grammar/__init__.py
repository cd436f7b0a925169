"""An English-French grammar of the project's own, with the exact alignment of every word."""

import random
import zlib

from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.grammar.sentences import Sentence, draw_sentence

__all__ = ["grammar_examples", "is_held_out"]

_ONE_IN = 12


def is_held_out(combination: tuple[str, str, str]) -> bool:
    """Return whether two words occur together in the test split alone, whatever the seed.

    One combination in twelve does.

    Args:
        combination: Its kind (`adjective` with a noun, `object` of a verb, `clitic` of a verb) and
            both English words.

    Returns:
        True if no training or validation sentence holds the combination.
    """
    return zlib.crc32("|".join(combination).encode()) % _ONE_IN == 0


def grammar_examples(
    *, train: int, validation: int, test: int, seed: int
) -> dict[str, list[Example]]:
    """Draw English sentences with their French translations and the links between the words.

    Adjectives may follow their noun; gender, number and person agree; object pronouns move before
    the verb and negation surrounds it; the past is the passé composé; words elide, and prepositions
    contract with articles.

    A word has a sure link to its main counterpart. It has possible links to the words that it
    agrees with (the noun of an article or an adjective, the subject of a verb), to auxiliaries, to
    the other words of a preposition, and, for *ne*, to the negation. In a contraction such as *du*,
    the preposition is a sure link and the article a possible one.

    Every test sentence holds a combination of words that no other split has: an adjective and a
    noun, a verb and its object, or a verb and a pronoun. No sentence of either language is drawn
    twice.

    Args:
        train: The number of training examples.
        validation: The number of validation examples, drawn like training examples.
        test: The number of test examples.
        seed: The seed for drawing the sentences.

    Returns:
        The examples of each split.

    Example:
        >>> pair = grammar_examples(train=1, validation=1, test=1, seed=0)["train"][0]
        >>> {t for t, _ in pair.possible} == set(range(len(pair.target)))
        True
    """
    rng, all_texts = random.Random(seed), set[str]()
    usual, held_out = list[Example](), list[Example]()
    while len(usual) < train + validation or len(held_out) < test:
        sentence = draw_sentence(rng)
        texts = {sentence.example.source_text, sentence.example.target_text}
        if not all_texts & texts:
            all_texts |= texts
            (held_out if _has_held_out(sentence) else usual).append(sentence.example)
    return {
        "train": usual[:train],
        "validation": usual[train : train + validation],
        "test": held_out[:test],
    }


def _has_held_out(sentence: Sentence) -> bool:
    return any(map(is_held_out, sentence.combinations))
