"""Several examples of a batch, or several training steps, in one page."""

from collections.abc import Mapping, Sequence
from operator import index
from typing import Any, NamedTuple

import numpy as np

from attn_jax.plot.arrays import as_array
from attn_jax.plot.figure import label_text
from attn_jax.plot.viewer.content import Content


class Pages(NamedTuple):
    """The contents that a viewer switches between.

    Attributes:
        kind: `"example"` or `"step"`.
        names: A name for each of the contents.
        contents: At least one.
    """

    kind: str
    names: Sequence[str]
    contents: Sequence[Content]


def captures_of(weights: Any, steps: Sequence[object]) -> list[Any]:
    """Return the weights at each training step.

    Raises:
        ValueError: If there is not one capture for each step.
    """
    captures = list(weights.values() if isinstance(weights, Mapping) else weights)
    if len(captures) != len(steps) or not captures:
        raise ValueError(
            f"steps names {len(steps)} training steps, but weights holds {len(captures)}; give a "
            "list with the weights captured at each step."
        )
    return captures


def examples_of(example: Sequence[int]) -> list[int]:
    """Return the examples to switch between.

    Raises:
        ValueError: If there are none, or one is given twice.
    """
    chosen = list(map(index, example))
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"example={chosen}; give the indices of different examples, as in [0, 1].")
    return chosen


def of_example(settings: Mapping[str, Any], example: int) -> dict[str, Any]:
    """Return the settings of one example, of which some may be a batch."""
    return {name: _one(name, value, example) for name, value in settings.items()}


def _one(name: str, value: Any, example: int) -> Any:
    if isinstance(value, Mapping):
        return {key: _one(f"{name}[{key!r}]", each, example) for key, each in value.items()}
    if name in ("gold", "possible"):
        is_batch = value is not None and as_array(value, name).ndim == 3
    elif name == "sentence_b":
        is_batch = np.ndim(value) == 1
    else:
        is_batch = bool(value is not None and len(value)) and _is_list(value[0])
    if is_batch and not -len(value) <= example < len(value):
        raise ValueError(
            f"{name} is a batch of {len(value)}, in which there is no example {example}; give one "
            "for each example of the weights."
        )
    return value[example] if is_batch else value


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple) or np.ndim(value) == 1


def page_of(pages: Pages, selection: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Any]]:
    """Take the selection of an example or a step out of a selection.

    Raises:
        ValueError: If the page does not have it.
    """
    rest = {name: value for name, value in selection.items() if name != pages.kind}
    if pages.kind not in selection:
        return {}, rest
    value, names = selection[pages.kind], list(pages.names)
    if isinstance(value, str | bytes) or pages.kind == "example":
        value = label_text(value)
        place = names.index(value) if value in names else None
    else:
        place = index(value) % len(names) if -len(names) <= index(value) < len(names) else None
    if place is None:
        known = ", ".join(filter(None, names[:8])) or "none to choose from"
        raise ValueError(f"there is no {pages.kind} {value!r} in this page: {known}.")
    return {"page": place}, rest


def encode_pages(pages: Pages) -> tuple[dict[str, Any], list[str]]:
    """Return the payload of the first content, with the others in it, and all encoded arrays."""
    payloads, blobs = [], []
    for content in pages.contents:
        payload, own = content.encoded
        payloads.append({**payload, "firstBlob": len(blobs)})
        blobs.extend(own)
    first, *others = payloads
    return {**first, "pages": {"kind": pages.kind, "names": pages.names, "others": others}}, blobs
