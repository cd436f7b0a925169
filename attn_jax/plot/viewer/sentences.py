"""Where a second sentence begins among the tokens of a viewer."""

from collections.abc import Mapping, Sequence
from operator import index

from attn_jax.plot.viewer.maps import Layer

_SEPARATOR = "[SEP]"

Labels = Mapping[str, tuple[list[str] | None, list[str] | None]]


def sentence_starts(
    start: int | None, layers: Sequence[Layer], labels: Labels
) -> dict[str, tuple[int, int]]:
    """Return the first query and the first key of the second sentence, by name of layer.

    Args:
        start: Index of its first token; by default, after the first of several `[SEP]`.
        layers: The maps; only those of tokens to one another have a second sentence.
        labels: Labels of the queries and of the keys, by name of layer.

    Raises:
        ValueError: If no layer has tokens on both sides of the start.
    """
    square = [layer for layer in layers if layer.weights.shape[1] == layer.weights.shape[2]]
    if start is None:
        places = {layer.name: _after_separator(labels[layer.name]) for layer in square}
        return {name: (place, place) for name, place in places.items() if place}
    place = index(start)
    result = {layer.name: (place, place) for layer in square if 0 < place < layer.weights.shape[1]}
    if not result:
        sizes = ", ".join(str(layer.weights.shape[1:]) for layer in layers) or "none"
        raise ValueError(
            f"sentence_b={place} must be the index of the second sentence's first token, within "
            f"maps of tokens to one another; the maps are (queries, keys): {sizes}."
        )
    return result


def _after_separator(sides: tuple[list[str] | None, list[str] | None]) -> int | None:
    tokens, keys = sides
    if tokens is None or tokens != keys or tokens.count(_SEPARATOR) < 2:
        return None
    return tokens.index(_SEPARATOR) + 1
