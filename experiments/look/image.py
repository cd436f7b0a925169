"""An image that a model sees: its attention over the patches."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from attn_jax import measure
from attn_jax.pretrained import Pretrained
from experiments.look.image_sheets import Sight, draw_sheets
from experiments.look.look import Choice, Look, Pairs
from experiments.look.running import capture_weights, layer_title, parameters

_NO_PREDICTION = (
    "There is no report card: this model predicts nothing that its attention could be checked "
    "against. The maps show which patches the class token reads from, not what a decision depends "
    "on."
)
_CARD = (
    "The card edits the chosen layer's weights and asks how far the prediction for this one image "
    "depends on them. One image is one example, too few for a verdict: give measure.report_card a "
    "batch of at least 20 images."
)
_MOST_CLASSES = 5


def look_at_image(model: Pretrained, path: Path, choice: Choice) -> Look:
    """Run a model on an image and capture all its attention weights.

    Args:
        model: A model of images.
        path: The file of the image.
        choice: The map in the figures.

    Returns:
        The content of the page.

    Raises:
        PretrainedError: If the file is no image.
        ValueError: If there is no such layer or head.
    """
    reader: Any = model.reader
    (image,) = reader.shown([path])
    inputs = {name: np.asarray(x) for name, x in model.encode(images=[path]).items()}
    out, captured = capture_weights(model, inputs)
    sight = _sight(model, image, captured)
    heads = next(iter(captured.values())).shape[1]
    choice = choice.checked(len(captured), heads)
    classes = _classes(model, np.asarray(out))
    attention = list(captured)[choice.layer]
    return Look(
        headline=[
            ("layers × heads", f"{len(captured)} × {heads}"),
            ("patches", f"{sight.grid[0]} × {sight.grid[1]}"),
            ("parameters", parameters(model)),
        ],
        sheets=draw_sheets(sight, choice, classes),
        captured={**captured, **inputs},
        judgment=_CARD if classes else _NO_PREDICTION,
        inputs_code=f"inputs = model.encode(images=[{str(path)!r}])",
        facts=[
            ("image", path.name),
            ("as the model sees it", f"{image.shape[1]} × {image.shape[0]} pixels"),
            ("tokens before the patches", ", ".join(sight.before)),
        ],
        judge=functools.partial(_judge, model, inputs, attention) if classes else None,
    )


def _sight(model: Pretrained, image: np.ndarray, captured: Mapping[str, np.ndarray]) -> Sight:
    module: Any = model.model
    tokens = getattr(module, "vision", module).tokens
    (height, width), (high, wide) = image.shape[:2], tokens.patch
    rows, columns = height // high, width // wide
    before = ["CLS" if name == "class" else name for name in tokens.class_tokens]
    return Sight(
        # The last rows and columns of pixels may fill no whole patch.
        image[: rows * high, : columns * wide],
        (rows, columns),
        [*before, *(f"register {i + 1}" for i in range(tokens.registers))],
        {
            layer_title(name.removeprefix("vision.")): weights[0]
            for name, weights in captured.items()
        },
    )


def _classes(model: Pretrained, out: np.ndarray) -> Pairs:
    """Return the most probable classes with their probabilities, if the model has any."""
    if getattr(model.model, "head", None) is None:
        return []
    probabilities = np.asarray(jax.nn.softmax(out[0]))
    names = model.config.get("id2label", {})
    largest = np.argsort(-probabilities)[:_MOST_CLASSES]
    return [(names.get(str(i), f"class {i}"), f"{probabilities[i]:.1%}") for i in largest]


def _judge(
    model: Pretrained, inputs: Mapping[str, np.ndarray], attention: str
) -> measure.ReportCard:
    """Return the card of what the class token attends to in a layer."""
    return measure.report_card(model, dict(inputs), attention=attention, query=0)
