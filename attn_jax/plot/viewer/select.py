"""Names and numbers that choose a map, a query or a key."""

from collections.abc import Mapping, Sequence
from operator import index
from typing import Any, SupportsIndex

from attn_jax.plot.figure import label_text
from attn_jax.plot.viewer.content import Content


def views(content: Content) -> list[str]:
    """Lists the views that there is something for; a viewer opens with the first."""
    labels = [content.labels[layer.name] for layer in content.layers]
    there = {
        "image": content.layers and content.image is not None,
        "matrix": content.layers,
        "tokens": any(side is not None for sides in labels for side in sides),
        "overview": sum(len(layer.weights) for layer in content.layers) > 1,
        "alignment": any(None not in sides for sides in labels),
        "compare": content.compared,
        "summary": content.summaries,
    }
    return [name for name, something in there.items() if something]


def resolve(content: Content, selection: Mapping[str, Any]) -> dict[str, Any]:
    """Turns names into numbers.

    Args:
        content: What there is to select.
        selection: By name as :meth:`attn_jax.plot.viewer.Viewer.select` takes it.

    Returns:
        The part of the state that it sets.

    Raises:
        ValueError: If there is no such thing.
    """
    known = {"layer": 0, "head": 0, "view": None, "query": None, "key": None} | dict(selection)
    if len(known) > 5:
        extra = ", ".join(sorted(set(selection) - {"layer", "head", "view", "query", "key"}))
        raise ValueError(f"{extra} cannot be selected; layer, head, view, query and key can.")
    shown = views(content)
    layers = content.layers or content.summaries
    names = [layer.name for layer in layers]
    layer = layers[_index("layer", known["layer"], len(layers), names)]
    heads, (rows, columns) = _sizes(layer)
    queries, keys = content.labels[layer.name]
    choose = {
        "layer": lambda given: names.index(layer.name),
        "head": lambda given: given if given == "mean" else _index("head", given, heads, ()),
        "view": lambda given: shown[_index("view", given, len(shown), shown)],
        "query": lambda given: _index("query", given, rows, queries or ()),
        "key": lambda given: _index("key", given, columns, keys or ()),
    }
    return {name: choose[name](given) for name, given in selection.items()}


def _sizes(layer: Any) -> tuple[int, tuple[int, int]]:
    if hasattr(layer, "weights"):
        return layer.weights.shape[0], layer.weights.shape[1:]
    return len(layer.fields["log_normalizer"]), layer.shape


def _index(what: str, given: SupportsIndex | str | bytes, count: int, names: Sequence[str]) -> int:
    given = label_text(given) if isinstance(given, str | bytes) else index(given)
    if given in names:
        return list(names).index(str(given))
    if isinstance(given, str) or not -count <= given < count:
        some = ", ".join(map(repr, names[:8])) or f"0 to {count - 1}"
        raise ValueError(f"there is no {what} {given!r} among {count}: {some}.")
    return given % count
