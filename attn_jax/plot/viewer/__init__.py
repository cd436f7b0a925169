"""An interactive page for attention of any size, which needs no network."""

import functools
from collections.abc import Mapping, Sequence
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.arrays import as_array
from attn_jax.plot.card import card_content
from attn_jax.plot.figure import label_text
from attn_jax.plot.images import read_images
from attn_jax.plot.viewer import checks
from attn_jax.plot.viewer.axes import Axes
from attn_jax.plot.viewer.content import Content, Links
from attn_jax.plot.viewer.maps import Labels, Layer, is_summary, layers, one_of
from attn_jax.plot.viewer.masks import masks_of
from attn_jax.plot.viewer.operands import operands_of, split
from attn_jax.plot.viewer.pages import Pages, captures_of, examples_of, of_example
from attn_jax.plot.viewer.sentences import sentence_starts
from attn_jax.plot.viewer.summaries import SummaryLayer, summary_layer
from attn_jax.plot.viewer.view import Viewer

__all__ = ["Viewer", "viewer"]


def viewer(
    weights: Any,
    *,
    axes: str | Mapping[str, str] | None = None,
    tokens: Labels | None = None,
    queries: Labels | None = None,
    keys: Labels | None = None,
    images: ArrayLike | None = None,
    grid: tuple[int, int] | None = None,
    prefix_tokens: int = 0,
    gold: ArrayLike | None = None,
    possible: ArrayLike | None = None,
    measures: Mapping[str, ArrayLike] | None = None,
    card: Any = None,
    compare: Any = None,
    compare_names: Sequence[object] = ("this run", "other run"),
    tiles: Mapping[Any, Any] | None = None,
    mask: Any = None,
    sentence_b: int | None = None,
    title: str = "Attention",
    example: int | Sequence[int] | None = None,
    steps: Sequence[object] | None = None,
    normalized: bool = True,
    top_k: int = 4,
) -> Viewer:
    """Open attention weights in an interactive page.

    The page stores the `top_k` largest weights of each row exactly, and all others in eight bits,
    within 1/255 of the largest weight of their row.

    Args:
        weights: `(queries, keys)`, `(heads, queries, keys)` or `(layers, heads, queries, keys)`; or
            arrays by name as `capture` returns them, `(batch, heads, queries, keys)`; or an
            `AttentionSummary`, alone or by name. Tensors of other libraries are read too. Captured
            `query`, `key`, `value`, `output` and `residual` beside `weights` open further views.
        axes: The axes of the weights where their rank leaves a choice, one letter each in the order
            of the array: `l` layers, `b` batch, `h` heads, `q` queries, `k` keys. A single-head
            batch is `"bqk"`, the heads of one example are `"hqk"`. A string for all arrays, or one
            by name. The page says how each array was read.
        tokens: Labels of both queries and keys; a dictionary by layer name where layers differ.
        queries: Labels of the queries; overrides `tokens`.
        keys: Labels of the keys; overrides `tokens`.
        images: Image whose patches are the keys: `(height, width)` or `(height, width, 1 or 3)`,
            or a batch of the latter.
        grid: Rows and columns of patches; a square by default.
        prefix_tokens: Number of tokens before the patches, such as a class token and registers.
        gold: Sure links of an alignment, booleans `(queries, keys)`.
        possible: Possible links, booleans `(queries, keys)`.
        measures: Numbers to sort and tint the heads by, one for each map, by name, such as the
            scores of `attn_jax.circuits`.
        card: Report card of the maps, from `attn_jax.measure.report_card`.
        compare: Weights of another run, in the same form as `weights`.
        compare_names: Names of the two, of `weights` and of `compare`.
        tiles: Parts of a summary's maps, `(heads, rows, columns)`, by first query and first key;
            for summaries by name, a dictionary of these by name.
        mask: Which keys each query may attend to, booleans `(keys,)`, `(queries, keys)` or
            `(batch, heads, queries, keys)`; or a dictionary by layer name. Other cells look hidden.
        sentence_b: Index of the first token of a second sentence, to show the attention within and
            between the two; by default, after the first of several `[SEP]`.
        title: Title of the page.
        example: Index of the example to show; needed for a batch of several. Of several examples,
            the page shows one at a time; labels, links and images may then be a batch as well.
        steps: Names of training steps; `weights` is then a list with a capture of each, and the
            page goes from one to the next.
        normalized: Whether each row must sum to one (or be all zero).
        top_k: Number of weights of each query to store exactly.

    Returns:
        The viewer, which displays itself in a notebook; `save` writes the page or a figure.

    Raises:
        ValueError: If the weights are not valid, their axes are not clear, or another argument does
            not fit them.

    Example:
        >>> from attn_jax import plot
        >>> view = plot.viewer([[0.9, 0.1], [0.2, 0.8]], queries=["la", "mer"], keys=["the", "sea"])
        >>> view.select(query="mer")
        Viewer('Attention', 1 map, axes='qk', view='matrix', query=1)
    """
    content = functools.partial(
        _content,
        axes=axes,
        grid=grid,
        prefix_tokens=prefix_tokens,
        images=images,
        mask=mask,
        measures=measures,
        card=card,
        compare=compare,
        compare_names=compare_names,
        tiles=tiles,
        title=title,
        normalized=normalized,
        top_k=top_k,
    )
    of_all = {"tokens": tokens, "queries": queries, "keys": keys, "sentence_b": sentence_b}
    of_all |= {"gold": gold, "possible": possible}
    examples = examples_of(example)
    if steps is not None:
        captures = captures_of(weights, steps, examples)
        of_each = [content(each, example=examples[0], **of_all) for each in captures]
        return Viewer(Pages("step", list(map(label_text, steps)), of_each), {})
    of_each = [content(weights, example=i, **of_example(of_all, i)) for i in examples]
    return Viewer(Pages("example", list(map(str, examples)), of_each), {})


def _content(
    weights: Any,
    *,
    axes: Axes,
    tokens: Labels | None,
    queries: Labels | None,
    keys: Labels | None,
    images: ArrayLike | None,
    grid: tuple[int, int] | None,
    prefix_tokens: int,
    gold: ArrayLike | None,
    possible: ArrayLike | None,
    measures: Mapping[str, ArrayLike] | None,
    card: Any,
    compare: Any,
    compare_names: Sequence[object],
    tiles: Mapping[Any, Any] | None,
    mask: Any,
    sentence_b: int | None,
    title: str,
    example: int | None,
    normalized: bool,
    top_k: int,
) -> Content:
    picture = None if images is None else as_array(images, "images")
    is_batch = picture is not None and picture.ndim == 4 and len(picture) > 1
    of_one = (tokens, queries, keys, gold, possible, None if is_batch else picture)
    read = functools.partial(
        _read,
        axes=axes,
        example=example,
        of_one=any(each is not None for each in of_one),
        normalized=normalized,
    )
    weights, captured = split(weights)
    maps, summaries = read(weights, tiles or {})
    compared = [] if compare is None else read(split(compare)[0], {})[0]
    checks.check_some(sum(len(layer.weights) for layer in maps) + len(summaries))
    checks.check_example(example, [*maps, *summaries], is_batch)
    if compare is not None:
        checks.check_same("compare", _shapes(compared), _shapes(maps))
    image, grid = _image(picture, grid, index(prefix_tokens), example, [*maps, *summaries])
    count = sum(len(layer.weights) for layer in maps)
    labels = {
        layer.name: _labels(layer.name, _shape(layer), tokens, queries, keys)
        for layer in [*maps, *summaries]
    }
    return Content(
        title=str(title),
        layers=maps,
        compare_names=checks.check_pair("compare_names", compare_names),
        compared=[new._replace(name=old.name) for new, old in zip(compared, maps, strict=False)],
        summaries=summaries,
        labels=labels,
        image=image,
        grid=grid,
        prefix_tokens=index(prefix_tokens),
        gold=_links(gold, possible, [*maps, *summaries]),
        measures={n: checks.check_measure(n, v, count) for n, v in (measures or {}).items()},
        card=None if card is None else card_content(card),
        top_k=checks.check_top_k(top_k),
        masks=masks_of(mask, maps, example),
        operands={layer.name: operands_of(layer, captured, example) for layer in maps},
        sentence_b=sentence_starts(sentence_b, maps, labels),
    )


def _read(
    weights: Any,
    tiles: Mapping[Any, Any],
    *,
    axes: Axes,
    example: int | None,
    of_one: bool,
    normalized: bool,
) -> tuple[list[Layer], list[SummaryLayer]]:
    if is_summary(weights):
        weights, tiles = {"attention": weights}, {"attention": tiles}
    named = weights if isinstance(weights, Mapping) else {}
    summaries = {name: value for name, value in named.items() if is_summary(value)}
    checks.check_names("tiles", tiles, summaries)
    plain = {n: v for n, v in named.items() if n not in summaries} if summaries else weights
    checks.check_axes_names(axes, plain)
    return layers(plain, axes, example, of_one=of_one, normalized=normalized), [
        summary_layer(str(name), value, example, tiles.get(name, {}))
        for name, value in summaries.items()
    ]


def _shape(layer: Layer | SummaryLayer) -> tuple[int, int]:
    return layer.weights.shape[1:] if isinstance(layer, Layer) else layer.shape


def _shapes(maps: Sequence[Layer]) -> list[tuple[int, ...]]:
    return [layer.weights.shape for layer in maps]


def _labels(
    name: str,
    shape: tuple[int, int],
    tokens: Labels | None,
    queries: Labels | None,
    keys: Labels | None,
) -> tuple[list[str] | None, list[str] | None]:
    def side(labels: Labels | None, argument: str) -> list[str] | None:
        argument, labels = (argument, labels) if labels is not None else ("tokens", tokens)
        return checks.labels_of(labels, name, argument, side_name, shape)

    side_name = "queries"
    rows = side(queries, "queries")
    side_name = "keys"
    return rows, side(keys, "keys")


def _image(
    images: NDArray | None,
    grid: tuple[int, int] | None,
    prefix_tokens: int,
    example: int | None,
    shown: Sequence[Layer | SummaryLayer],
) -> tuple[NDArray[np.uint8] | None, tuple[int, int] | None]:
    if images is None:
        return None, None
    if images.ndim == 4:
        batch = read_images(images)
        images = np.asarray(batch[one_of("images", batch.shape, 0, example)])
    return checks.check_image(images, grid, prefix_tokens, [_shape(layer)[1] for layer in shown])


def _links(
    gold: ArrayLike | None, possible: ArrayLike | None, shown: Sequence[Layer | SummaryLayer]
) -> Links | None:
    if gold is None and possible is None:
        return None
    shapes = [_shape(layer) for layer in shown]
    return (
        checks.check_links("gold", gold, shapes),
        checks.check_links("possible", possible, shapes),
    )
