"""Selection of a view, a map, a query or a key, by name or number."""

from collections.abc import Mapping, Sequence
from operator import index
from typing import Any, SupportsIndex

from attn_jax.plot.labels import label_text, read_labels
from attn_jax.plot.viewer.content import Content
from attn_jax.plot.viewer.page import LANGUAGES

# Tabs whose word is not the name of their view, which stands in the addresses of saved pages.
_TABS = {"overview": "model"}
_SELECTED = ("layer", "head", "view", "query", "key", "language")


def views(content: Content) -> list[str]:
    """Return the views that have something to show; a viewer opens with the first."""
    labels = [content.labels[layer.name] for layer in content.layers]
    available = {
        "image": content.layers and content.image is not None,
        "matrix": content.layers,
        "tokens": any(side is not None for sides in labels for side in sides),
        "heads": sum(len(layer.weights) for layer in content.layers) > 1,
        "overview": sum(len(layer.weights) for layer in content.layers) > 1,
        "neuron": any(each.query is not None for each in content.operands.values()),
        "alignment": any(None not in sides for sides in labels),
        "compare": content.compared,
        "summary": content.summaries,
    }
    return [name for name, shown in available.items() if shown]


def resolve(content: Content, selection: Mapping[str, Any]) -> dict[str, Any]:
    """Return a selection as numbers.

    Args:
        content: Content of the viewer.
        selection: By name as `viewer.Viewer.select` takes it.

    Returns:
        The state that it sets.

    Raises:
        ValueError: If something selected does not exist.
    """
    chosen: dict[str, Any] = {"layer": 0, "head": 0, **selection}
    if extra := ", ".join(sorted(set(selection) - {*_SELECTED})):
        raise ValueError(
            f"{extra} cannot be selected; select layer, head, view, query, key or language."
        )
    shown = views(content)
    layers = content.layers or content.summaries
    names = [layer.name for layer in layers]
    layer = layers[_index("layer", chosen["layer"], len(layers), names)]
    heads, (rows, columns) = _sizes(layer)
    queries, keys = content.labels[layer.name]
    convert = {
        "layer": lambda _: names.index(layer.name),
        "head": lambda head: head if head == "mean" else _index("head", head, heads, ()),
        "view": lambda view: shown[_view(view, shown)],
        "query": lambda query: _index("query", query, rows, queries or ()),
        "key": lambda key: _index("key", key, columns, keys or ()),
        "language": _language,
    }
    return {name: convert[name](value) for name, value in selection.items()}


def language_state(language: str) -> dict[str, str]:
    """Return the part of the state that sets a language, none for English.

    Raises:
        ValueError: If the page has no such language.
    """
    return {} if language == "en" else {"language": _language(language)}


def _language(language: Any) -> str:
    if language not in LANGUAGES:
        raise ValueError(f"there is no language {language!r} among {', '.join(LANGUAGES)}.")
    return language


def _view(view: Any, shown: Sequence[str]) -> int:
    word = view.lower() if isinstance(view, str) else view
    return _index(
        "view", _TABS.get(word, word), len(shown), [_TABS.get(name, name) for name in shown]
    )


def _sizes(layer: Any) -> tuple[int, tuple[int, int]]:
    if hasattr(layer, "weights"):
        return layer.weights.shape[0], layer.weights.shape[1:]
    return len(layer.fields["log_normalizer"]), layer.shape


def _readings(value: str | int) -> list[str]:
    """Return how a token with a tokenizer's marks may be shown: within a word, or at its start."""
    return [] if isinstance(value, int) else [*read_labels(["a", value])[1:], *read_labels([value])]


def _index(kind: str, value: SupportsIndex | str | bytes, count: int, names: Sequence[str]) -> int:
    value = label_text(value) if isinstance(value, str | bytes) else index(value)
    for name in (value, *_readings(value)):
        if name in names:
            return list(names).index(str(name))
    if isinstance(value, str) or not -count <= value < count:
        some = ", ".join(map(repr, names[:8])) or f"0 to {count - 1}"
        raise ValueError(f"there is no {kind} {value!r} among {count}: {some}.")
    return value % count
