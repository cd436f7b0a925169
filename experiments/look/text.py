"""Texts that a model reads, or writes on: its attention from every token to every token."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import numpy as np

from attn_jax.measure import ReportCard
from attn_jax.pretrained import Pretrained
from experiments.look.judging import LEAST, LastLayer, judge_last_layer, judged_rows
from experiments.look.look import Choice, Look, Text
from experiments.look.running import by_number, capture_values, layer_title, parameters
from experiments.look.sheets import Reading, draw_sheets

_VALUES = ("*.weights", "*.residual", "*.context", "*.value")
_NO_PREDICTION = (
    "There is no report card: this model predicts nothing that its attention could be checked "
    "against. The maps show what each token reads from, not what the result depends on."
)
_TOO_SHORT = (
    "There is no report card: it needs at least 4 tokens that attend to 4 or more. The maps show "
    "what each token reads from, not what the result depends on."
)
_CARD = (
    "The card judges {map} of the last layer by the model's own predictions of the next token, at "
    "the last {count} tokens. Each prediction is an example: a token's row of that map is edited "
    "and the rest of the model runs on, while later tokens, which the model hides, stay hidden. It "
    "says nothing about earlier layers, whose weights also change what later tokens read. Fewer "
    "than 20 predictions are too few for a verdict, and those of one text say little about others."
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
    code = _code(texts, generate)
    inputs = model.encode(texts)
    if generate:
        inputs = model.generate(inputs, generate).inputs
    inputs = {name: np.asarray(value) for name, value in inputs.items()}
    if generate:
        rows = zip(inputs["tokens"], inputs["key_mask"], strict=True)
        texts = [model.tokenizer.decode(row[exists].tolist()) for row, exists in rows]
    out, values = capture_values(model, inputs, _VALUES)
    captured = {name: value for name, value in values.items() if name.endswith(".weights")}
    first = next(iter(captured.values()))
    choice = choice.checked(len(captured), first.shape[1])
    readings = list(_readings(model, texts, inputs, captured))
    judgment, judge = _NO_PREDICTION, None
    if _predicts_tokens(model, out):
        judgment, judge = _judged(model, choice, values, inputs)
    return Look(
        headline=[
            ("layers × heads", f"{len(captured)} × {first.shape[1]}"),
            ("tokens", ", ".join(str(len(reading.tokens)) for reading in readings)),
            ("parameters", parameters(model)),
        ],
        sheets=draw_sheets(readings, choice),
        captured={**captured, **inputs},
        judgment=judgment,
        inputs_code=code,
        texts=[Text(reading.title, reading.text, reading.tokens) for reading in readings],
        judge=judge,
    )


def _judged(
    model: Pretrained,
    choice: Choice,
    values: Mapping[str, np.ndarray],
    inputs: Mapping[str, np.ndarray],
) -> tuple[str, Callable[[], ReportCard] | None]:
    """Return what the card judges in words, and what makes it."""
    name = max((name for name in values if name.endswith(".weights")), key=by_number)
    head = choice.head if f"layers.{choice.layer}." in name else None
    layer = LastLayer(name.removesuffix(".attention.weights"), head=head)
    rows = judged_rows(values[name], inputs["key_mask"])
    if len(rows[0]) < LEAST:
        return _TOO_SHORT, None
    heads = values[name].shape[1]
    map_in_words = f"the mean of {heads} heads" if head is None else f"head {head}"
    own = {n: value for n, value in values.items() if n.startswith(f"{layer.name}.")}
    return (
        _CARD.format(map=map_in_words, count=len(rows[0])),
        functools.partial(judge_last_layer, model, layer, own, inputs, rows),
    )


def _code(texts: Sequence[str], generate: int) -> str:
    """Return the Python that makes the model's arguments."""
    if not generate:
        return f"inputs = model.encode({list(texts)!r})"
    return f"inputs = model.generate(model.encode({list(texts)!r}), {generate}).inputs"


def _predicts_tokens(model: Pretrained, out: jax.Array) -> bool:
    return out.shape[-1] == model.config.get("vocab_size")


def _readings(
    model: Pretrained,
    texts: Sequence[str],
    inputs: Mapping[str, np.ndarray],
    captured: Mapping[str, np.ndarray],
) -> Iterator[Reading]:
    for i, (text, row) in enumerate(zip(texts, inputs["tokens"], strict=True)):
        length = int(inputs["key_mask"][i].sum())
        layers = {
            layer_title(name): weights[i, :, :length, :length] for name, weights in captured.items()
        }
        number, title = ("", "The text") if len(texts) == 1 else (f"-{i + 1}", f"Text {i + 1}")
        yield Reading(number, title, text, model.tokenizer.shown(row[:length].tolist()), layers)
