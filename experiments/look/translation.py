"""Texts that a model writes from another text: the attention of its encoder and its decoder."""

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from attn_jax import plot
from attn_jax.plot.fonts import legible
from attn_jax.pretrained import Pretrained
from experiments.look.look import Choice, Look, Text
from experiments.look.running import capture_weights, parameters
from experiments.report import Sheet
from experiments.report.figure_words import viewer_label, viewer_labels

_CAVEAT = (
    "There is no report card: the model predicts at every token, and a card judges one prediction. "
    "The maps show what each token reads from, not what the result depends on. A decoder often "
    "looks at the end of a sentence when it needs nothing from it. Give measure.report_card a "
    "function of the tokens that returns the logits of the position in question."
)
_LAYER = re.compile(r"(?:layers\.(\d+)\.)?(?:cross_)?attention\.weights")


class Maps(NamedTuple):
    """The maps of one part of a model, and the tokens of their rows and columns.

    Attributes:
        name: The name of its figure.
        title: The title on the page.
        caption: What the rows and columns are.
        layers: The weights, `(heads, queries, keys)`, by name of layer.
        queries: The tokens of the rows.
        keys: The tokens of the columns.
    """

    name: str
    title: str
    caption: str
    layers: dict[str, np.ndarray]
    queries: list[str]
    keys: list[str]


def look_at_translation(model: Pretrained, text: str, choice: Choice, generate: int = 0) -> Look:
    """Let a model write from a text, and capture the attention of all that it read and wrote.

    Args:
        model: A model with an encoder and a decoder of texts.
        text: The text that it reads.
        choice: The map in the figures, of the attention from what is written to what is read.
        generate: The most tokens that it writes; if 0, twice as many as it reads, and ten.

    Returns:
        The content of the page.

    Raises:
        PretrainedError: If the text is empty or too long.
        ValueError: If there is no such layer or head.
    """
    inputs = dict(model.encode([text]))
    steps = generate or _steps(model, inputs["tokens"].shape[1])
    written = model.generate(inputs, steps)
    tokens = written.tokens[0, : int(written.lengths[0])].tolist()
    # The last token is read by nothing.
    inputs["decoder_tokens"] = jnp.asarray([tokens[:-1]])
    _, captured = capture_weights(model, inputs)
    parts = _parts(model, captured, _shown(model, inputs), tokens)
    cross = parts[0]
    heads = max(len(weights) for weights in cross.layers.values())
    choice = choice.checked(len(cross.layers), heads)
    target = model.target_tokenizer
    return Look(
        headline=[
            ("layers × heads", f"{len(cross.layers)} × {heads}"),
            ("tokens", f"{len(cross.keys)} read, {len(cross.queries)} written"),
            ("parameters", parameters(model)),
        ],
        sheets=_sheets(parts, choice),
        captured={**captured, **{name: np.asarray(value) for name, value in inputs.items()}},
        judgment=_CAVEAT,
        inputs_code=_code(text, steps),
        texts=[
            Text("What it read", text, cross.keys),
            Text("What it wrote", target.decode(tokens), cross.queries),
        ],
    )


def _steps(model: Pretrained, tokens: int) -> int:
    return int(min(2 * tokens + 10, (model.rules.limit or math.inf) - 1))


def _code(text: str, steps: int) -> str:
    """Return the Python that makes the model's arguments."""
    return (
        f"inputs = model.encode([{text!r}])\n"
        f"written = model.generate(inputs, {steps})\n"
        'inputs["decoder_tokens"] = written.tokens[:, : int(written.lengths[0]) - 1]'
    )


def _shown(model: Pretrained, inputs: Mapping[str, object]) -> list[str]:
    """Return the tokens that are read, with the padding where it takes part."""
    return model.tokenizer.shown(np.asarray(inputs["tokens"])[0].tolist())


def _parts(
    model: Pretrained, captured: Mapping[str, np.ndarray], read: list[str], tokens: list[int]
) -> list[Maps]:
    """Return the maps of each part that the model has, those between the two texts first."""
    shown = model.target_tokenizer.shown(tokens)
    before, after = shown[:-1], shown[1:]
    parts = [
        Maps(
            "cross",
            "From what is written to what is read",
            "Each row is a token when it is written, each column a token that is read.",
            _layers(captured, r"decoder\..*cross_attention\.weights|attention\.weights"),
            after,
            read,
        ),
        Maps(
            "encoder",
            "Among what is read",
            "Rows and columns are the tokens that are read.",
            _layers(captured, r"encoder\..*"),
            read,
            read,
        ),
        Maps(
            "decoder",
            "Among what is written",
            "Rows and columns are the tokens that the decoder reads again; the first one only "
            "says where the text begins. A row sees itself and what was written before.",
            _layers(captured, r"decoder\..*\.attention\.weights"),
            before,
            before,
        ),
    ]
    return [part for part in parts if part.layers]


def _layers(captured: Mapping[str, np.ndarray], pattern: str) -> dict[str, np.ndarray]:
    """Return the weights of the only text by name of layer, with an axis of heads."""
    layers = {}
    for name, weights in captured.items():
        if re.fullmatch(pattern, name):
            number = _LAYER.search(name)
            title = f"layer {number[1]}" if number and number[1] else "attention"
            layers[title] = weights[0] if weights.ndim == 4 else weights
    return layers


def _sheets(parts: list[Maps], choice: Choice) -> Iterator[Sheet]:
    cross = parts[0]
    yield _alignment(cross, choice)
    for part in parts:
        yield _viewer(part, choice)
    maps = np.stack([*cross.layers.values()])
    if maps.shape[:2] == (1, 1):
        return
    yield Sheet(
        "heads",
        "Every head, from what is written to what is read",
        "All maps on one color scale.",
        plot.heads(maps, normalized=False),
    )


def _alignment(part: Maps, choice: Choice) -> Sheet:
    name, weights = list(part.layers.items())[choice.layer]
    head = f"mean of {len(weights)} heads" if choice.head is None else f"head {choice.head}"
    chosen = weights.mean(0) if choice.head is None else weights[choice.head]
    has_one = len(weights) == len(part.layers) == 1
    is_named = not legible("".join(part.queries + part.keys))
    return Sheet(
        "alignment",
        part.title if has_one else f"{part.title}: {name}, {head}",
        f"{part.caption} A dot marks the largest weight of its row."
        + " Characters that no font here has are named." * is_named
        + " --layer and --head choose another map." * (not has_one),
        plot.alignment(
            chosen,
            source=[_named(token) for token in part.keys],
            target=[_named(token) for token in part.queries],
        ),
    )


def _named(token: str) -> str:
    """Return a token, or the names of its characters where a figure would show boxes."""
    if legible(token):
        return token
    return " ".join(unicodedata.name(each, "?").split()[-1].lower() for each in token)


def _viewer(part: Maps, choice: Choice) -> Sheet:
    layers, title = viewer_labels(part.layers), viewer_label(part.title)
    view = plot.viewer(layers, axes="hqk", queries=part.queries, keys=part.keys, title=title)
    # An encoder may have fewer layers or heads than the decoder.
    weights = list(part.layers.values())[min(choice.layer, len(part.layers) - 1)]
    is_mean = choice.head is None and len(weights) > 1
    head = "mean" if is_mean else min(choice.head or 0, len(weights) - 1)
    has_several = sum(map(len, part.layers.values())) > 1
    return Sheet(
        f"viewer-{part.name}",
        f"Look around: {part.title[0].lower()}{part.title[1:]}",
        f"{part.caption} Click a head to open its map." if has_several else part.caption,
        view.select(
            view="overview" if has_several else "matrix",
            layer=min(choice.layer, len(part.layers) - 1),
            head=head,
        ),
    )
