"""How good translations are: exact match, right tokens, BLEU and chrF."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from attn_jax.models import beam_decode, greedy_decode
from attn_jax.tasks.translation.tokens import PAD, UNKNOWN
from experiments.translation.alignment_scores import batches

_KANA = re.compile("[\u3040-\u30ff]")
_HAN = re.compile("[\u3400-\u9fff]")


@functools.cache
def decoder(
    model: nn.Module, max_length: int, beam_size: int = 0, length_penalty: float = 0.0
) -> Callable[[Any, Any], tuple[jax.Array, dict[str, jax.Array]]]:
    """A jitted function from parameters and sources to what is written and where it looked.

    With a beam it is the best of its translations.

    Returns:
        From parameters and (n, s) to (n, max_length) and, by layer, (n, h, max_length, s).
    """

    @jax.jit
    def decode(params: Any, source: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        variables = {"params": params}
        if not beam_size:
            written = greedy_decode(model, variables, source, max_length=max_length)
            return written.tokens, written.weights
        found = beam_decode(
            model,
            variables,
            source,
            max_length=max_length,
            beam_size=beam_size,
            length_penalty=length_penalty,
        )
        return found.tokens[:, 0], {name: each[:, 0] for name, each in found.weights.items()}

    return decode


def longest_target(splits: Mapping[str, Sequence[Mapping[str, np.ndarray]]]) -> int:
    """The most tokens that any target has, the end included."""
    return max(bucket["target"].shape[1] for split in splits.values() for bucket in split)


def decode_split(
    model: nn.Module, params: Any, buckets: Sequence[Mapping[str, np.ndarray]], max_length: int
) -> dict[int, np.ndarray]:
    """What the model writes for each example of a split, by its number."""
    decode, found = decoder(model, max_length), {}
    for bucket in buckets:
        for batch, own in batches(bucket):
            tokens = np.asarray(decode(params, batch["source"])[0])[:own]
            found |= dict(zip(batch["example"][:own].tolist(), tokens, strict=True))
    return found


def targets(buckets: Sequence[Mapping[str, np.ndarray]], max_length: int) -> dict[int, np.ndarray]:
    """What should be written, padded as :func:`decode_split` pads."""
    found = {}
    for bucket in buckets:
        target = bucket["target"]
        padded = np.pad(target, ((0, 0), (0, max_length - target.shape[1])))
        found |= dict(zip(bucket["example"].tolist(), padded, strict=True))
    return found


def score_texts(written: Sequence[str], wanted: Sequence[str]) -> tuple[dict[str, float], dict]:
    """BLEU and chrF of a corpus, in percent, and sacrebleu's signature of each.

    BLEU counts words; in Chinese, and where most texts have no blank, as Japanese, characters.

    Args:
        written: The translations.
        wanted: A reference for each.

    Returns:
        The scores, and the signatures.

    References:
        M. Post, "A Call for Clarity in Reporting BLEU Scores", WMT 2018.

    Example:
        >>> scores, signatures = score_texts(["the sea is calm today"], ["the sea is calm today"])
        >>> round(scores["bleu"]), "tok:13a" in signatures["bleu"]
        (100, True)
    """
    import sacrebleu

    metrics = {
        "bleu": sacrebleu.BLEU(tokenize=_bleu_tokens(wanted)),
        "chrf": sacrebleu.CHRF(),
    }
    scores = {name: m.corpus_score(written, [wanted]).score for name, m in metrics.items()}
    return scores, {name: str(metric.get_signature()) for name, metric in metrics.items()}


def _bleu_tokens(texts: Sequence[str]) -> str:
    """What sacrebleu splits texts by, as most of them are."""
    half = len(texts) / 2
    if sum(map(bool, map(_KANA.search, texts))) > half:
        return "char"
    if sum(map(bool, map(_HAN.search, texts))) > half:
        return "zh"
    # Of single words, as dates are, BLEU's four words in a row are letters.
    return "13a" if sum(" " in text for text in texts) > half else "char"


def _right(written: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return (written == wanted) & (wanted != UNKNOWN)


def is_exact(written: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether a translation is right in every token, none of them unknown."""
    return bool(_right(written, wanted).all())


def score_tokens(written: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    """The share of sentences that are right as a whole, and of tokens in their right places.

    Args:
        written: (n, length), ended and padded.
        wanted: The same of the references.

    Returns:
        `exact` and `token_accuracy`; the end is a token, and an unknown one is never right.

    Example:
        >>> score_tokens(np.array([[5, 2, 0], [5, 6, 2]]), np.array([[5, 2, 0], [5, 7, 2]]))
        {'exact': 0.5, 'token_accuracy': 0.8}
    """
    right, token = _right(written, wanted), wanted != PAD
    return {
        "exact": float(right.all(-1).mean()),
        "token_accuracy": float(right[token].mean()),
    }
