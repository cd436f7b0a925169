"""An English-French grammar of the project's own, which knows what every word comes from."""

import random
import zlib

from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.grammar.sentences import Sentence, draw_sentence

__all__ = ["grammar_examples", "is_held_out"]

_ONE_IN = 12


def is_held_out(combination: tuple[str, str, str]) -> bool:
    """Whether two words meet in the test split alone, whatever the seed: one pair in twelve.

    Args:
        combination: Its kind (`adjective`, with a noun; `object`, of a verb; `clitic`, of a verb),
            and both English words.

    Returns:
        True where no sentence to learn from or to select by holds it.
    """
    return zlib.crc32("|".join(combination).encode()) % _ONE_IN == 0


def grammar_examples(
    *, train: int, validation: int, test: int, seed: int
) -> dict[str, list[Example]]:
    """Draws English sentences with their French translations and the links between the words.

    What moves or changes on the way: adjectives that follow their noun, agreement in gender, number
    and person, objects that are pronouns, negation around the verb, the passé composé, elision, and
    prepositions that contract with articles.

    A word's chief counterpart is a sure link. Possible are the words that it agrees with (the noun
    of an article or an adjective, the subject of a verb), auxiliaries, the other words of a
    preposition, and all that is left of *ne*; of a contraction, as *du*, the preposition is sure
    and the article possible.

    Every test sentence holds a pair of words that never meet in the other splits: an adjective and
    a noun, a verb and its object, or a verb and a pronoun. No sentence of either
    language is drawn twice.

    Args:
        train: How many to learn from.
        validation: How many to select by; drawn as those to learn from.
        test: How many to be judged by.
        seed: Of all sentences.

    Returns:
        The examples of each split.

    Example:
        >>> pair = grammar_examples(train=1, validation=1, test=1, seed=0)["train"][0]
        >>> {t for t, _ in pair.possible} == set(range(len(pair.target)))
        True
    """
    rng, seen = random.Random(seed), set[str]()
    known, new = list[Example](), list[Example]()
    while len(known) < train + validation or len(new) < test:
        sentence = draw_sentence(rng)
        texts = {sentence.example.source_text, sentence.example.target_text}
        if not seen & texts:
            seen |= texts
            (new if _is_new(sentence) else known).append(sentence.example)
    return {
        "train": known[:train],
        "validation": known[train : train + validation],
        "test": new[:test],
    }


def _is_new(sentence: Sentence) -> bool:
    return any(map(is_held_out, sentence.combinations))
