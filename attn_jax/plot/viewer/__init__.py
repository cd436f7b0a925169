"""An interactive page for attention of any size, which needs no network."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.arrays import as_array
from attn_jax.plot.card import card_content
from attn_jax.plot.images import read_images
from attn_jax.plot.labels import label_text
from attn_jax.plot.viewer import checks
from attn_jax.plot.viewer.axes import Axes
from attn_jax.plot.viewer.content import Content, Links
from attn_jax.plot.viewer.maps import Labels, Layer, checked, is_summary, one_of, stacks
from attn_jax.plot.viewer.masks import masks_of
from attn_jax.plot.viewer.operands import operands_of, split
from attn_jax.plot.viewer.pages import Pages, captures_of, examples_of, of_example
from attn_jax.plot.viewer.prefix import patch_labels, prefix_names
from attn_jax.plot.viewer.select import language_state
from attn_jax.plot.viewer.sentences import sentence_starts
from attn_jax.plot.viewer.shrink import choose_whole, summarize
from attn_jax.plot.viewer.sources import Sources, read_sources
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
    prefix_tokens: int | Sequence[object] = 0,
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
    whole_layers: Sequence[int | str] | None = None,
    language: str = "en",
) -> Viewer:
    """Open attention weights in an interactive page.

    The page stores the `top_k` largest weights of each row exactly, and all others in eight bits,
    within 1/255 of the largest weight of their row.

    Args:
        weights: `(queries, keys)`, `(heads, queries, keys)` or `(layers, heads, queries, keys)`; or
            arrays by name as `capture` returns them, `(batch, heads, queries, keys)`; or an
            `AttentionSummary`, alone or by name. Captured `query`, `key`, `value`, `output` and
            `residual` beside `weights` open further views. Tensors of other libraries are read too,
            and so are their containers: a tuple of one array per layer, of any heads, some of them
            None; the outputs of a model of transformers, or of its `generate`; Flax's
            `intermediates`; a `DataArray` of xarray, with its coordinates as labels. `sources` of
            the viewer says what was taken for what.
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
        prefix_tokens: Tokens before the patches, such as a class token and registers: their number,
            or their names, as in `["[CLS]", "register"]`.
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
        whole_layers: Names or numbers of the layers whose maps to store whole, the others only as
            a summary; by default all, or the first that fit where all would make too large a page.
        language: Language of the page until its reader chooses another: `"en"` or `"zh"`, Chinese.

    Returns:
        The viewer, which displays itself in a notebook; `save` writes the page or a figure.

    Raises:
        ValueError: If the weights are not valid, their axes are not clear, or another argument does
            not fit them.

    Example:
        >>> from attn_jax import plot
        >>> weights = [[0.8, 0.1, 0.1], [0.2, 0.1, 0.7], [0.0, 0.9, 0.1]]
        >>> french, english = ["la", "maison", "bleue"], ["the", "blue", "house"]
        >>> view = plot.viewer(weights, queries=english, keys=french)
        >>> view.select(query="blue")
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
        whole_layers=whole_layers,
    )
    of_all = {"tokens": tokens, "queries": queries, "keys": keys, "sentence_b": sentence_b}
    of_all |= {"gold": gold, "possible": possible}
    examples = examples_of(example)
    if steps is not None:
        captures = captures_of(weights, steps, examples)
        of_each = [content(each, example=examples[0], **of_all) for each in captures]
        pages = Pages("step", list(map(label_text, steps)), of_each)
        return Viewer(pages, language_state(language))
    of_each = [content(weights, example=i, **of_example(of_all, i)) for i in examples]
    return Viewer(Pages("example", list(map(str, examples)), of_each), language_state(language))


def _content(
    weights: Any,
    *,
    axes: Axes,
    tokens: Labels | None,
    queries: Labels | None,
    keys: Labels | None,
    images: ArrayLike | None,
    grid: tuple[int, int] | None,
    prefix_tokens: int | Sequence[object],
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
    whole_layers: Sequence[int | str] | None,
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
        whole_layers=whole_layers,
    )
    weights, captured = split(weights)
    maps, summaries, skipped = read(weights, tiles or {})
    compared = [] if compare is None else read(split(compare)[0], {})[0]
    checks.check_some(sum(len(layer.weights) for layer in maps) + len(summaries))
    shown = [*maps, *summaries]
    checks.check_example(example, shown, is_batch)
    if compare is not None:
        checks.check_same("compare", _shapes(compared), _shapes(maps))
    count, names = prefix_names(prefix_tokens)
    image, grid = _image(picture, grid, count, example, shown)
    if names is not None and tokens is None and keys is None:
        tokens = patch_labels(names, grid, {layer.name: _shape(layer) for layer in shown})
    labels = {layer.name: _labels(layer, tokens, queries, keys) for layer in shown}
    return Content(
        title=str(title),
        layers=maps,
        compare_names=checks.check_pair("compare_names", compare_names),
        compared=[new._replace(name=old.name) for new, old in zip(compared, maps, strict=False)],
        summaries=summaries,
        labels=labels,
        image=image,
        grid=grid,
        prefix_tokens=count,
        gold=_links(gold, possible, shown),
        measures={
            name: checks.check_measure(name, values, sum(len(layer.weights) for layer in maps))
            for name, values in (measures or {}).items()
        },
        card=None if card is None else card_content(card),
        top_k=checks.check_top_k(top_k),
        masks=masks_of(mask, maps, example),
        operands={layer.name: operands_of(layer, captured, example) for layer in maps},
        sentence_b=sentence_starts(sentence_b, maps, labels),
        also=[
            *(f"left out: {name}" for name in skipped),
            *(f"beside the maps: {name}" for name in captured),
        ],
    )


def _read(
    weights: Any,
    tiles: Mapping[Any, Any],
    *,
    axes: Axes,
    example: int | None,
    of_one: bool,
    normalized: bool,
    whole_layers: Sequence[int | str] | None,
) -> tuple[list[Layer], list[SummaryLayer], list[str]]:
    if is_summary(weights):
        weights, tiles = {"attention": weights}, {"attention": tiles}
    is_stack = example is not None or (isinstance(axes, str) and not axes.startswith("l"))
    sources = read_sources(weights, stacked=is_stack)
    summaries = {item.name: item.values for item in sources.items if is_summary(item.values)}
    checks.check_names("tiles", tiles, summaries)
    plain = [item for item in sources.items if item.name not in summaries]
    checks.check_axes_names(axes, [item.key for item in plain])
    layers = list(stacks(Sources(plain, sources.is_named, []), axes, example, of_one=of_one))
    whole = choose_whole([(layer.name, layer.weights.size) for layer in layers], whole_layers)
    maps, shrunk = [], []
    for layer in layers:
        if layer.name in whole:
            maps.append(checked(layer, normalized=normalized))
        else:
            shrunk.append(summarize(layer, len(whole), len(layers), normalized=normalized))
    given = [
        summary_layer(name, value, example, tiles.get(name, {}))
        for name, value in summaries.items()
    ]
    return maps, given + shrunk, sources.skipped


def _shape(layer: Layer | SummaryLayer) -> tuple[int, int]:
    return layer.weights.shape[1:] if isinstance(layer, Layer) else layer.shape


def _shapes(maps: Sequence[Layer]) -> list[tuple[int, ...]]:
    return [layer.weights.shape for layer in maps]


def _labels(
    layer: Layer | SummaryLayer,
    tokens: Labels | None,
    queries: Labels | None,
    keys: Labels | None,
) -> tuple[list[str] | None, list[str] | None]:
    def side(labels: Labels | None, axis: str, own: Labels | None) -> list[str] | None:
        argument, labels = (axis, labels) if labels is not None else ("tokens", tokens)
        labels = own if labels is None else labels
        first = layer.first_query if argument == "tokens" and axis == "queries" else 0
        return checks.labels_of(labels, layer.name, argument, axis, _shape(layer), first)

    return side(queries, "queries", layer.labels[0]), side(keys, "keys", layer.labels[1])


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
