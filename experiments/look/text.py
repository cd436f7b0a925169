"""Texts that a model reads, or writes on: its attention from every token to every token."""

from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np

from attn_jax.pretrained import Pretrained
from experiments.look.look import Choice, Look, Text
from experiments.look.running import capture_weights, layer_title, parameters
from experiments.look.sheets import Reading, draw_sheets

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
    code = _code(texts, generate)
    inputs = _written(model, texts, generate) if generate else model.encode(texts)
    inputs = {name: np.asarray(value) for name, value in inputs.items()}
    if generate:
        rows = zip(inputs["tokens"], inputs["key_mask"], strict=True)
        texts = [model.tokenizer.decode(row[exists].tolist()) for row, exists in rows]
    out, captured = capture_weights(model, inputs)
    first = next(iter(captured.values()))
    choice = choice.checked(len(captured), first.shape[1])
    readings = list(_readings(model, texts, inputs, captured))
    return Look(
        headline=[
            ("layers × heads", f"{len(captured)} × {first.shape[1]}"),
            ("tokens", " and ".join(str(len(reading.tokens)) for reading in readings)),
            ("parameters", parameters(model)),
        ],
        sheets=draw_sheets(readings, choice),
        captured={**captured, **inputs},
        judgment=_MANY_PREDICTIONS if _predicts_tokens(model, out) else _NO_PREDICTION,
        inputs_code=code,
        texts=[Text(reading.title, reading.text, reading.tokens) for reading in readings],
    )


def _code(texts: Sequence[str], generate: int) -> str:
    """Return the Python that makes the model's arguments."""
    if not generate:
        return f"inputs = model.encode({list(texts)!r})"
    lines = [
        f"read = model.encode([{texts[0]!r}])",
        f'inputs = {{"tokens": model.generate(read, {generate})}}',
    ]
    return "\n".join([*lines, *["# and likewise for the second text"][: len(texts) - 1]])


def _written(model: Pretrained, texts: Sequence[str], steps: int) -> dict[str, np.ndarray]:
    """Return the tokens of each text and those that the model writes after it."""
    rows = [np.asarray(model.generate(model.encode([text]), steps))[0] for text in texts]
    tokens = np.full((len(rows), max(map(len, rows))), model.tokenizer.pad, np.int32)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = row
    lengths = np.array([len(row) for row in rows])
    return {"tokens": tokens, "key_mask": np.arange(tokens.shape[1]) < lengths[:, None]}


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
