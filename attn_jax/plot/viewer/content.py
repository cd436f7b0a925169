"""The content of a viewer, checked when it is made and encoded on first use."""

import base64
import dataclasses
import functools
import io
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

from attn_jax.plot.chinese import card_translations
from attn_jax.plot.viewer import encode
from attn_jax.plot.viewer.maps import Layer
from attn_jax.plot.viewer.masks import encode_mask
from attn_jax.plot.viewer.operands import Operands, encode_operands
from attn_jax.plot.viewer.scores import Scores, head_scores
from attn_jax.plot.viewer.summaries import SummaryLayer, encode_summary

Links = tuple[NDArray[np.bool_], NDArray[np.bool_]]


@dataclasses.dataclass(eq=False)
class Content:
    """Everything that a viewer shows.

    Attributes:
        title: Title of the page.
        layers: The maps.
        compared: The maps of another run, like `layers`, or none.
        compare_names: The names of the two runs.
        summaries: Summaries of long sequences.
        labels: Labels of the queries and of the keys, by name of layer or summary.
        image: Image whose patches are the keys, `(height, width, 3)` bytes.
        grid: Rows and columns of its patches.
        prefix_tokens: Number of tokens before the patches.
        gold: Sure and possible links, `(queries, keys)`.
        measures: One number for each map, by name.
        card: Verdict and lines of the report card.
        top_k: Number of weights of each query that are stored exactly.
        masks: Cells that may be attended to, `(heads, queries, keys)`, by name of layer.
        operands: What was captured beside the weights, by name of layer.
        sentence_b: First query and first key of a second sentence, by name of layer.
        also: What the weights held beside the maps, a line each.
    """

    title: str
    layers: Sequence[Layer]
    compared: Sequence[Layer]
    compare_names: tuple[str, str]
    summaries: Sequence[SummaryLayer]
    labels: Mapping[str, tuple[list[str] | None, list[str] | None]]
    image: NDArray[np.uint8] | None
    grid: tuple[int, int] | None
    prefix_tokens: int
    gold: Links | None
    measures: Mapping[str, list[float]]
    card: Mapping[str, Any] | None
    top_k: int
    masks: Mapping[str, NDArray[np.bool_]]
    operands: Mapping[str, Operands]
    sentence_b: Mapping[str, tuple[int, int]]
    also: Sequence[str] = ()

    @functools.cached_property
    def encoded(self) -> tuple[dict[str, object], list[str]]:
        """The payload without its state, and the encoded arrays it refers to."""
        blobs: list[str] = []
        labels = _LabelLists()
        payload: dict[str, object] = {
            "title": self.title,
            "topK": self.top_k,
            "layers": [
                row | self._beside(layer, blobs)
                for row, layer in zip(
                    self._layers(self.layers, blobs, labels), self.layers, strict=True
                )
            ],
            "compared": self._layers(self.compared, blobs, labels),
            "compareNames": self.compare_names,
            "summaries": [self._summary(layer, blobs, labels) for layer in self.summaries],
            "image": None if self.image is None else self._image(self.image),
            "gold": self.gold and self._links(*self.gold),
            "scores": self._scores(),
            "measures": self.measures,
            "card": self.card,
            "cardWords": card_translations(self.card),
        }
        return {**payload, "labels": labels.lists}, blobs

    def _scores(self) -> Scores:
        """Return the scores of all maps, without those that no map has."""
        rows = [head_scores(layer.weights, self.labels[layer.name]) for layer in self.layers]
        names = list(dict.fromkeys(name for row in rows for name in row))
        scores = {name: [value for row in rows for value in row[name]] for name in names}
        return {name: values for name, values in scores.items() if set(values) - {None}}

    def _layers(
        self, layers: Sequence[Layer], blobs: list[str], labels: "_LabelLists"
    ) -> list[dict[str, object]]:
        # zlib and NumPy release the GIL; each thread holds some forty bytes for each weight.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            maps = [weights for layer in layers for weights in layer.weights]
            encoded = iter(list(pool.map(self._map, maps)))
        rows = []
        for layer in layers:
            heads = []
            for text, thumb, entropy in (next(encoded) for _ in layer.weights):
                blobs.append(text)
                heads.append({"blob": len(blobs) - 1, "thumb": thumb, "entropy": entropy})
            queries, keys = self.labels[layer.name]
            names = {"queries": labels(queries), "keys": labels(keys)}
            row = {"name": layer.name, "shape": layer.weights.shape[1:], "heads": heads}
            rows.append(row | {"labels": names, "reading": layer.reading})
        return rows

    def _beside(self, layer: Layer, blobs: list[str]) -> dict[str, Any]:
        """Encode the mask, the second sentence and what was captured beside the weights."""
        hidden = None
        if (mask := self.masks.get(layer.name)) is not None:
            hidden = [*range(len(blobs), len(blobs) + len(mask))]
            blobs.extend(map(encode_mask, mask))
        operands = self.operands.get(layer.name, Operands())
        return {
            "hidden": hidden,
            "sentenceB": self.sentence_b.get(layer.name),
            **encode_operands(operands, layer.weights, blobs),
        }

    def _map(self, weights: NDArray[np.float32]) -> tuple[str, str, float]:
        top_k = min(self.top_k, weights.shape[1])
        thumb = encode.text(encode.thumbnail(weights).tobytes())
        return encode.encode_map(weights, top_k), thumb, encode.mean_entropy(weights)

    def _summary(
        self, layer: SummaryLayer, blobs: list[str], labels: "_LabelLists"
    ) -> dict[str, Any]:
        queries, keys = self.labels[layer.name]
        names = {"queries": labels(queries), "keys": labels(keys)}
        entry = encode_summary(layer, self.top_k, blobs)
        return {**entry, "labels": names, "reading": layer.reading}

    def _links(self, sure: NDArray[np.bool_], possible: NDArray[np.bool_]) -> dict[str, object]:
        possible = possible & ~sure
        links = {"sure": np.argwhere(sure).tolist(), "possible": np.argwhere(possible).tolist()}
        return {"shape": sure.shape, **links}

    def _image(self, image: NDArray[np.uint8]) -> dict[str, object]:
        file = io.BytesIO()
        imsave(file, image, format="png")
        url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
        height, width = image.shape[:2]
        size = {"url": url, "height": height, "width": width}
        size["isColor"] = bool(np.ptp(image, axis=-1).any())
        return {**size, "grid": self.grid, "prefixTokens": self.prefix_tokens}


class _LabelLists:
    """Lists of labels, each stored once."""

    def __init__(self) -> None:
        self.lists: list[list[str]] = []

    def __call__(self, labels: list[str] | None) -> int | None:
        if labels is None:
            return None
        if labels not in self.lists:
            self.lists.append(labels)
        return self.lists.index(labels)
