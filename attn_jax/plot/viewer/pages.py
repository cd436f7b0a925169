"""Several examples of a batch, or several training steps, in one page."""

from collections.abc import Mapping, Sequence
from operator import index
from typing import Any, NamedTuple, SupportsIndex

import numpy as np

from attn_jax.plot.arrays import as_array
from attn_jax.plot.labels import label_text
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


def captures_of(weights: Any, steps: Sequence[object], examples: Sequence[int | None]) -> list[Any]:
    """Return the weights at each training step.

    Raises:
        ValueError: If there is not one capture for each step, or several examples of each.
    """
    captures = list(weights.values() if isinstance(weights, Mapping) else weights)
    if len(captures) != len(steps) or not captures:
        raise ValueError(
            f"steps names {len(steps)} training steps, but weights holds {len(captures)}; give a "
            "list with the weights captured at each step."
        )
    if len(examples) > 1:
        raise ValueError(
            f"with steps, the page switches between steps and not between example={examples}; "
            "choose one example."
        )
    return captures


def examples_of(example: int | Sequence[int] | None) -> list[int | None]:
    """Return the examples to switch between.

    Raises:
        ValueError: If there are none, or one is given twice.
    """
    if example is None:
        return [None]
    if isinstance(example, SupportsIndex):
        return [index(example)]
    chosen = list(map(index, example))
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"example={chosen}; give the indices of different examples, as in [0, 1].")
    return [*chosen]


def of_example(settings: Mapping[str, Any], example: int | None) -> dict[str, Any]:
    """Return the settings of one example, of which some may be a batch."""
    if example is None:
        return dict(settings)
    return {name: _one(name, value, example) for name, value in settings.items()}


def _one(name: str, value: Any, example: int) -> Any:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {key: _one(f"{name}[{key!r}]", each, example) for key, each in value.items()}
    if name in ("gold", "possible"):
        is_batch = as_array(value, name).ndim == 3
    elif name == "sentence_b":
        is_batch = np.ndim(value) == 1
    else:
        is_batch = len(value) > 0 and isinstance(value[0], list | tuple | np.ndarray)
    if is_batch and not -len(value) <= example < len(value):
        raise ValueError(
            f"{name} is a batch of {len(value)}, in which there is no example {example}; give one "
            "for each example of the weights."
        )
    return value[example] if is_batch else value


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
        known = ", ".join(names[:8])
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
