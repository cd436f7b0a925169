"""Texts that an encoder reads: its attention from every token to every token."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from attn_jax import hooks, plot
from attn_jax.pretrained import Pretrained
from experiments.look.look import Look, Text
from experiments.report import Sheet

_LAYER = re.compile(r"layers\.(\d+)\.attention\.weights")
_JUDGMENT = (
    "There is no report card: this model predicts nothing that its attention could be checked "
    "against. The maps show what each token reads from, not what the result depends on."
)


class Choice(NamedTuple):
    """The map in the figures.

    Attributes:
        layer: The layer; a negative number counts from the last.
        head: The head, or None for the mean of all heads.
    """

    layer: int = -1
    head: int | None = None


class _Reading(NamedTuple):
    """One text with its attention, without padding.

    Attributes:
        number: `""` for a text alone, `"-1"` or `"-2"` for one of two.
        title: The name of the text on the page.
        text: The text.
        tokens: Its tokens.
        layers: The weights, `(heads, tokens, tokens)`, by name of layer.
    """

    number: str
    title: str
    text: str
    tokens: list[str]
    layers: dict[str, np.ndarray]


def look_at_texts(model: Pretrained, texts: Sequence[str], choice: Choice) -> Look:
    """Run an encoder on one or two texts and capture all its attention weights.

    Args:
        model: An encoder of texts.
        texts: The texts.
        choice: The map in the figures.

    Returns:
        The content of the page.

    Raises:
        PretrainedError: If a text is empty or too long.
        ValueError: If there is no such layer or head.
    """
    inputs = {name: np.asarray(value) for name, value in model.encode(texts).items()}
    captured = _capture(model, inputs)
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
        sheets=_sheets(readings, choice),
        captured={**captured, **inputs},
        judgment=_JUDGMENT,
    )


def _capture(model: Pretrained, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return all attention weights, `(batch, heads, queries, keys)`, in the order of the layers."""
    run = jax.jit(hooks.capture(model.model.apply, "*.weights"))
    _, captured = run(model.variables, **inputs)
    # jit sorts names as text, layer 10 before layer 2.
    return {name: np.asarray(captured[name]) for name in sorted(captured, key=_by_number)}


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
) -> Iterator[_Reading]:
    for i, (text, row) in enumerate(zip(texts, inputs["tokens"], strict=True)):
        length = int(inputs["key_mask"][i].sum())
        layers = {
            _LAYER.sub(r"layer \1", name): weights[i, :, :length, :length]
            for name, weights in captured.items()
        }
        number, title = ("", "The text") if len(texts) == 1 else (f"-{i + 1}", f"Text {i + 1}")
        yield _Reading(number, title, text, model.tokenizer.pieces(row[:length]), layers)


def _sheets(readings: Sequence[_Reading], choice: Choice) -> Iterator[Sheet]:
    lengths = {len(reading.tokens) for reading in readings}
    if len(readings) == 2 and len(lengths) == 1:
        yield _comparison(*readings, choice)
    for draw in (_viewer, _map, _heads):
        for reading in readings:
            yield draw(reading, choice)


def _comparison(first: _Reading, second: _Reading, choice: Choice) -> Sheet:
    pairs = zip(first.tokens, second.tokens, strict=True)
    view = plot.viewer(
        first.layers,
        axes="hqk",
        tokens=[one if one == other else f"{one} / {other}" for one, other in pairs],
        compare=second.layers,
        compare_names=("text 1", "text 2"),
        title=f"{_short(first.text)} / {_short(second.text)}",
    )
    return Sheet(
        "compare",
        "Text 1 and text 2",
        "The same head on both texts, and the difference. Choose a layer and a head, and point at "
        "a cell; the tokens are paired by position.",
        view.select(view="compare", **_selection(choice)),
    )


def _viewer(reading: _Reading, choice: Choice) -> Sheet:
    view = plot.viewer(
        reading.layers, axes="hqk", tokens=reading.tokens, title=_short(reading.text)
    )
    return Sheet(
        f"viewer{reading.number}",
        _titled("Look around", reading),
        "Click a head to open its map. Under Tokens, point at a word to see what it attends to and "
        "what attends to it.",
        view.select(view="overview", **_selection(choice)),
    )


def _map(reading: _Reading, choice: Choice) -> Sheet:
    name, weights = list(reading.layers.items())[choice.layer]
    head = f"mean of {len(weights)} heads" if choice.head is None else f"head {choice.head}"
    chosen = weights.mean(0) if choice.head is None else weights[choice.head]
    return Sheet(
        f"map{reading.number}",
        _titled(f"{name.capitalize()}, {head}", reading),
        "Each row is a token that attends, each column a token that is attended to. Another map: "
        "--layer and --head.",
        plot.heatmap(chosen, queries=reading.tokens, keys=reading.tokens),
    )


def _heads(reading: _Reading, choice: Choice) -> Sheet:
    return Sheet(
        f"heads{reading.number}",
        _titled("Every head", reading),
        "All maps on one color scale.",
        plot.heads(np.stack([*reading.layers.values()])),
    )


def _selection(choice: Choice) -> dict[str, int | str]:
    return {"layer": choice.layer, "head": "mean" if choice.head is None else choice.head}


def _titled(title: str, reading: _Reading) -> str:
    return f"{title}: {reading.title.lower()}" if reading.number else title


def _short(text: str, length: int = 80) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _count(parameters: int) -> str:
    return f"{parameters / 1e6:.1f} million" if parameters >= 1e6 else f"{parameters:,}"
