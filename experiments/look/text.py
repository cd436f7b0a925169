"""Texts that a model reads, or writes on: its attention from every token to every token."""

import re
from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np

from attn_jax import hooks
from attn_jax.pretrained import Pretrained
from experiments.look.look import Look, Text
from experiments.look.sheets import Choice, Reading, draw_sheets

_LAYER = re.compile(r"layers\.(\d+)\.attention\.weights")
_NO_PREDICTION = (
    "There is no report card: this model predicts nothing that its attention could be checked "
    "against. The maps show what each token reads from, not what the result depends on."
)
_MANY_PREDICTIONS = (
    "There is no report card: a language model predicts at every token, and a card judges one "
    "prediction. Give measure.report_card a function of the tokens that returns the logits of the "
    "position in question."
)


def look_at_texts(
    model: Pretrained, texts: Sequence[str], choice: Choice, generate: int = 0
) -> Look:
    """Run a model on one or two texts and capture all its attention weights.

    Args:
        model: A model of texts.
        texts: The texts.
        choice: The map in the figures.
        generate: The number of tokens that the model writes on first.

    Returns:
        The content of the page.

    Raises:
        PretrainedError: If a text is empty or too long.
        ValueError: If there is no such layer or head.
    """
    inputs = model.encode(texts)
    if generate:
        inputs = model.generate(inputs, generate).inputs
    inputs = {name: np.asarray(value) for name, value in inputs.items()}
    if generate:
        rows = zip(inputs["tokens"], inputs["key_mask"], strict=True)
        texts = [model.tokenizer.decode(row[exists].tolist()) for row, exists in rows]
    out, captured = _capture(model, inputs)
    first = next(iter(captured.values()))
    choice = _checked(choice, len(captured), first.shape[1])
    readings = list(_readings(model, texts, inputs, captured))
    return Look(
        headline=[
            ("layers × heads", f"{len(captured)} × {first.shape[1]}"),
            ("tokens", " and ".join(str(len(reading.tokens)) for reading in readings)),
            ("parameters", _count(sum(p.size for p in jax.tree.leaves(model.variables)))),
        ],
        texts=[Text(reading.title, reading.text, reading.tokens) for reading in readings],
        sheets=draw_sheets(readings, choice),
        captured={**captured, **inputs},
        judgment=_MANY_PREDICTIONS if _predicts_tokens(model, out) else _NO_PREDICTION,
    )


def _predicts_tokens(model: Pretrained, out: jax.Array) -> bool:
    return out.shape[-1] == model.config.get("vocab_size")


def _capture(
    model: Pretrained, inputs: Mapping[str, np.ndarray]
) -> tuple[jax.Array, dict[str, np.ndarray]]:
    """Return the output and all weights, `(batch, heads, queries, keys)`, layer by layer."""
    run = jax.jit(hooks.capture(model.model.apply, "*.weights"))
    out, captured = run(model.variables, **inputs)
    # jit sorts names as text, layer 10 before layer 2.
    return out, {name: np.asarray(captured[name]) for name in sorted(captured, key=_by_number)}


def _by_number(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]


def _checked(choice: Choice, layers: int, heads: int) -> Choice:
    return Choice(
        _index("layer", choice.layer, layers),
        None if choice.head is None else _index("head", choice.head, heads),
    )


def _index(kind: str, number: int, count: int) -> int:
    if not -count <= number < count:
        raise ValueError(
            f"--{kind} {number} is none of the {count} {kind}s of this model; choose 0 to "
            f"{count - 1}, or -1 for the last."
        )
    return number % count


def _readings(
    model: Pretrained,
    texts: Sequence[str],
    inputs: Mapping[str, np.ndarray],
    captured: Mapping[str, np.ndarray],
) -> Iterator[Reading]:
    for i, (text, row) in enumerate(zip(texts, inputs["tokens"], strict=True)):
        length = int(inputs["key_mask"][i].sum())
        layers = {
            _LAYER.sub(r"layer \1", name): weights[i, :, :length, :length]
            for name, weights in captured.items()
        }
        number, title = ("", "The text") if len(texts) == 1 else (f"-{i + 1}", f"Text {i + 1}")
        yield Reading(number, title, text, model.tokenizer.shown(row[:length].tolist()), layers)


def _count(parameters: int) -> str:
    return f"{parameters / 1e6:.1f} million" if parameters >= 1e6 else f"{parameters:,}"
