"""Scores of translations: exact match, token accuracy, BLEU and chrF."""

import functools
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from attn_jax._extras import require
from attn_jax.models import beam_decode, greedy_decode
from attn_jax.tasks.translation.tokens import PAD, UNKNOWN
from attn_jax.train import read_metrics
from attn_jax.train.disk.stored import StoredFileError, is_record, read_json, set_aside, write_json
from experiments.invocation import report_line
from experiments.translation.alignment_scores import Score, batches

_NAME = "scores.json"
_SCORE: dict[str, type | UnionType] = {
    **dict.fromkeys(Score._fields[:4], str),
    **dict.fromkeys(Score._fields[4:], int | float | None),
}
_KANA = re.compile("[\u3040-\u30ff]")
_HAN = re.compile("[\u3400-\u9fff]")


def write_scores(run: Path, scores: Mapping[str, Any]) -> None:
    """Write the scores of every head, and the signatures of BLEU and chrF, to the run's folder."""
    write_json(run / _NAME, scores)


def read_scores(run: Path) -> dict[str, Any]:
    """Return what `write_scores` wrote; nothing if the run has not ended.

    Raises:
        ValueError: If the file cannot be read.
    """
    path = run / _NAME
    if not path.exists():
        return {}
    try:
        scores = read_json(path, dict)
    except StoredFileError as error:
        raise StoredFileError(f"{error}; `{report_line()}` makes it again.") from error
    heads = scores.get("alignment")
    if (
        not is_record(scores.get("signatures"), {"bleu": str, "chrf": str})
        or not isinstance(heads, list)
        or not all(is_record(head, _SCORE) and head.keys() == _SCORE.keys() for head in heads)
    ):
        raise StoredFileError(
            f"{path} is not the scores of a run; `{report_line()}` makes it again."
        )
    return scores


def restore_scores(run: Path, score: Callable[[], Mapping[str, Any]]) -> None:
    """Write the scores of a finished run again if they are damaged, which is said, or missing."""
    try:
        stored = read_scores(run)
    except StoredFileError as error:
        print(f"{error} Now {set_aside(run / _NAME)}.", file=sys.stderr)
        stored = {}
    if not stored and any("greedy/exact" in row for row in read_metrics(run)):
        write_scores(run, score())


@functools.cache
def decoder(
    model: nn.Module, max_length: int, beam_size: int = 0, length_penalty: float = 0.0
) -> Callable[[Any, Any], tuple[jax.Array, dict[str, jax.Array]]]:
    """Build a jitted function from parameters and sources to translations and their weights.

    Args:
        model: A translator.
        max_length: The most tokens of a translation.
        beam_size: Hypotheses of beam search, of which the best is returned; 0 searches greedily.
        length_penalty: As for `beam_decode`.

    Returns:
        A function from parameters and sources (n, s) to tokens (n, max_length) and, by layer,
        weights (n, h, max_length, s).
    """

    @jax.jit
    def decode(params: Any, source: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        variables = {"params": params}
        if not beam_size:
            greedy = greedy_decode(model, variables, source, max_length=max_length)
            return greedy.tokens, greedy.weights
        beams = beam_decode(
            model,
            variables,
            source,
            max_length=max_length,
            beam_size=beam_size,
            length_penalty=length_penalty,
        )
        return beams.tokens[:, 0], {name: each[:, 0] for name, each in beams.weights.items()}

    return decode


def longest_target(splits: Mapping[str, Sequence[Mapping[str, np.ndarray]]]) -> int:
    """Return the most tokens that any target has, the end included."""
    return max(bucket["target"].shape[1] for split in splits.values() for bucket in split)


def decode_split(
    model: nn.Module, params: Any, buckets: Sequence[Mapping[str, np.ndarray]], max_length: int
) -> dict[int, np.ndarray]:
    """Return the model's translation of each example of a split, by its index."""
    decode, translations = decoder(model, max_length), {}
    for bucket in buckets:
        for batch, count in batches(bucket):
            tokens = np.asarray(decode(params, batch["source"])[0])[:count]
            translations |= dict(zip(batch["example"][:count].tolist(), tokens, strict=True))
    return translations


def targets(buckets: Sequence[Mapping[str, np.ndarray]], max_length: int) -> dict[int, np.ndarray]:
    """Return the reference of each example of a split, padded as `decode_split` pads."""
    references = {}
    for bucket in buckets:
        target = bucket["target"]
        padded = np.pad(target, ((0, 0), (0, max_length - target.shape[1])))
        references |= dict(zip(bucket["example"].tolist(), padded, strict=True))
    return references


def score_texts(
    translations: Sequence[str], references: Sequence[str]
) -> tuple[dict[str, float], dict[str, str]]:
    """Return BLEU and chrF of a corpus, in percent, and sacrebleu's signature of each.

    BLEU counts words; in Chinese, and where most texts have no blanks, as in Japanese, characters.

    Args:
        translations: The translations.
        references: A reference for each.

    Returns:
        The scores, and the signatures.

    References:
        M. Post, "A Call for Clarity in Reporting BLEU Scores", WMT 2018.

    Example:
        >>> scores, signatures = score_texts(["the sea is calm today"], ["the sea is calm today"])
        >>> round(scores["bleu"]), "tok:13a" in signatures["bleu"]
        (100, True)
    """
    require("sacrebleu", extra="text")
    import sacrebleu

    metrics = {
        "bleu": sacrebleu.BLEU(tokenize=_bleu_tokens(references)),
        "chrf": sacrebleu.CHRF(),
    }
    scores = {name: m.corpus_score(translations, [references]).score for name, m in metrics.items()}
    return scores, {name: str(metric.get_signature()) for name, metric in metrics.items()}


def _bleu_tokens(texts: Sequence[str]) -> str:
    """Return the name of sacrebleu's tokenizer that suits most of the texts."""
    half = len(texts) / 2
    if sum(map(bool, map(_KANA.search, texts))) > half:
        return "char"
    if sum(map(bool, map(_HAN.search, texts))) > half:
        return "zh"
    # In texts of a single word, such as dates, BLEU has to count letters to have n-grams.
    return "13a" if sum(" " in text for text in texts) > half else "char"


def _right_tokens(translation: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return (translation == reference) & (reference != UNKNOWN)


def is_exact(translation: np.ndarray, reference: np.ndarray) -> bool:
    """Return whether a translation is right in every token, none of them unknown."""
    return bool(_right_tokens(translation, reference).all())


def score_tokens(translations: np.ndarray, references: np.ndarray) -> dict[str, float]:
    """Return the fraction of exact sentences, and of tokens that are right in their places.

    Args:
        translations: Tokens, (n, length), ended and padded.
        references: The same of the references.

    Returns:
        `exact` and `token_accuracy`; the end is a token, and an unknown token is never right.

    Example:
        >>> score_tokens(np.array([[5, 2, 0], [5, 6, 2]]), np.array([[5, 2, 0], [5, 7, 2]]))
        {'exact': 0.5, 'token_accuracy': 0.8}
    """
    right, is_token = _right_tokens(translations, references), references != PAD
    return {
        "exact": float(right.all(-1).mean()),
        "token_accuracy": float(right[is_token].mean()),
    }
