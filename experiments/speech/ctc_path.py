"""Words and their places in what a recognizer without attention says at each state."""

import numpy as np

from attn_jax.tasks.translation.tokens import PAD


def best_words(log_probability: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return the words of the likeliest path: repetitions merge, and then blanks vanish.

    Args:
        log_probability: Of each token at each state, (n, states, tokens), token 0 for the blank.
        states: How many states each utterance has, (n,).

    Returns:
        The words, (n, states), padded with zeros.

    Example:
        >>> path = np.eye(3)[[[1, 1, 0, 1, 2]]]
        >>> best_words(path, np.array([5]))[0].tolist()
        [1, 1, 2, 0, 0]
    """
    path = log_probability.argmax(-1)
    path[np.arange(path.shape[1]) >= states[:, None]] = PAD
    is_new = np.diff(path, axis=1, prepend=PAD) != 0
    words = np.where(is_new, path, PAD)
    order = np.argsort(words == PAD, axis=1, kind="stable")
    return np.take_along_axis(words, order, 1)


def word_peaks(log_probability: np.ndarray, states: int, words: np.ndarray) -> np.ndarray:
    """Return the state at which each word peaks, within the likeliest path that says the words.

    Args:
        log_probability: Of each token at each state, (states, tokens), token 0 for the blank.
        states: How many states exist.
        words: The words that are said.

    Returns:
        (words,), integers.

    References:
        Graves et al., 2006, section 4.1, with maxima instead of sums.
        https://doi.org/10.1145/1143844.1143891
    """
    symbols = np.full(2 * len(words) + 1, PAD)
    symbols[1::2] = words
    scores = log_probability[:states, symbols]
    # A word may follow the word before it directly, unless they are equal.
    skips = np.zeros(len(symbols), bool)
    skips[3::2] = words[1:] != words[:-1]
    best = np.full(len(symbols), -np.inf)
    best[:2] = scores[0, :2]
    moves = np.zeros(scores.shape, int)
    for state in range(1, states):
        one, two = (np.pad(best, (by, 0), constant_values=-np.inf)[: len(best)] for by in (1, 2))
        choices = np.stack([best, one, np.where(skips, two, -np.inf)])
        moves[state] = choices.argmax(0)
        best = choices.max(0) + scores[state]
    place = len(symbols) - 1 - int(best[-1] < best[-2])
    path = np.empty(states, int)
    for state in reversed(range(states)):
        path[state] = place
        place -= moves[state, place]
    return np.array([_peak(path == 2 * i + 1, scores[:, 2 * i + 1]) for i in range(len(words))])


def _peak(is_here: np.ndarray, score: np.ndarray) -> int:
    return int(np.where(is_here, score, -np.inf).argmax())
