import base64
import io
import json
import re

import matplotlib.image
import numpy as np
import pytest
from PIL import Image

from attn_jax import plot


def maps(*shape):
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.ones(shape[-1]), shape[:-1])


def payload(view):
    text = re.search(r'id="payload">(.*?)</script>', view.html(), re.DOTALL)
    return json.loads(text[1])


def layers(view):
    return [(row["name"], row["shape"], len(row["heads"])) for row in payload(view)["layers"]]


@pytest.mark.parametrize(
    ("weights", "settings", "expected"),
    [
        (maps(5, 7), {}, [("layer 0", [5, 7], 1)]),
        (maps(3, 5, 7), {"axes": "hqk"}, [("layer 0", [5, 7], 3)]),
        (maps(2, 3, 5, 7), {}, [("layer 0", [5, 7], 3), ("layer 1", [5, 7], 3)]),
        ({"a": maps(1, 3, 5, 7), "b": maps(2, 11)}, {}, [("a", [5, 7], 3), ("b", [2, 11], 1)]),
        ({"a": maps(2, 3, 5, 7)}, {"example": 1}, [("a", [5, 7], 3)]),
        ({"a": maps(2, 5, 7)}, {"example": -1}, [("a", [5, 7], 1)]),
        ({"a": maps(2, 1, 3, 5, 7)}, {}, [("a[0]", [5, 7], 3), ("a[1]", [5, 7], 3)]),
        (maps(2, 1, 3, 5, 7), {}, [("layer 0", [5, 7], 3), ("layer 1", [5, 7], 3)]),
    ],
)
def test_it_opens_whatever_capture_gives(weights, settings, expected):
    assert layers(plot.viewer(weights, **settings)) == expected


def test_the_chosen_example_is_shown():
    weights = maps(2, 3, 5, 7)
    one = plot.viewer({"a": weights}, example=1)
    (chosen,), (alone,) = (payload(v)["layers"] for v in (one, plot.viewer({"a": weights[1:]})))
    assert chosen.pop("reading") == "2 × 3 × 5 × 7 = batch × heads × queries × keys, example 1"
    assert alone.pop("reading") == "1 × 3 × 5 × 7 = batch × heads × queries × keys, example 0"
    assert chosen == alone
    assert one.html() != plot.viewer({"a": weights}, example=0).html()


def test_labels_are_those_of_each_layer():
    weights = {"self": maps(1, 2, 5, 5), "cross": maps(1, 2, 5, 7)}
    view = plot.viewer(
        weights, tokens={"self": "abcde"}, queries=list("vwxyz"), keys={"cross": range(7)}
    )
    row = payload(view)
    labels = [
        [None if i is None else "".join(row["labels"][i]) for i in each["labels"].values()]
        for each in row["layers"]
    ]
    assert labels == [["vwxyz", None], ["vwxyz", "0123456"]]


def test_entropy_and_measures_are_those_of_each_map():
    weights = np.stack([np.full((5, 7), 1 / 7), np.eye(5, 7)])
    row = payload(plot.viewer(weights, axes="hqk", measures={"mass": [[0.25, 0.75]]}))
    heads = row["layers"][0]["heads"]
    assert [head["entropy"] for head in heads] == pytest.approx([np.log(7), 0], abs=1e-6)
    assert row["measures"] == {"mass": [0.25, 0.75]}


def test_gold_links_are_sure_or_possible():
    sure, possible = np.zeros((2, 5, 7), bool)
    sure[1, 2] = possible[1, 2] = possible[4, 6] = True
    row = payload(plot.viewer(maps(5, 7), gold=sure, possible=possible))
    assert row["gold"] == {"shape": [5, 7], "sure": [[1, 2]], "possible": [[4, 6]]}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.array([[0, 255], [51, 0]], np.uint8), [0, 255, 51, 0]),
        (np.array([[0.0, 1.0], [0.2, 0.0]]), [0, 255, 51, 0]),
        (np.array([[[-1.0]], [[1.0]]]).repeat(2, 1), [0, 0, 255, 255]),
    ],
)
def test_images_are_shown_as_they_are(image, expected):
    view = plot.viewer(maps(2, 3, 5), images=image, grid=(2, 2), prefix_tokens=1)
    shown = payload(view)["image"]
    assert (shown["grid"], shown["prefixTokens"]) == ([2, 2], 1)
    file = io.BytesIO(base64.b64decode(shown["url"].partition(",")[2]))
    pixels = matplotlib.image.imread(file, format="png")[..., :3]
    assert np.rint(255 * pixels[..., 1]).ravel().tolist() == expected
    assert repr(view) == "Viewer('Attention', 2 maps, axes='hqk', view='image')"


def test_color_images_keep_their_colors():
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 1] = 10, 20, 30
    shown = payload(plot.viewer(maps(5, 4), images=image[None]))["image"]
    file = io.BytesIO(base64.b64decode(shown["url"].partition(",")[2]))
    pixels = np.rint(255 * matplotlib.image.imread(file, format="png"))
    assert pixels[0, 1, :3].tolist() == [10, 20, 30]


def test_a_summary_is_opened_with_its_tiles(summary_of):
    tile = maps(2, 3, 5)
    view = plot.viewer(
        {"a.summary": summary_of(heads=2, queries=31, top=3, batch=(1,), pooled=(4, 4))},
        tiles={"a.summary": {(7, 11): tile}},
        top_k=2,
    )
    (row,) = payload(view)["summaries"]
    assert (row["name"], row["shape"], row["heads"]) == ("a.summary", [31, 31], 2)
    assert {name: len(heads) for name, heads in row["lines"].items()} == {
        "entropy": 2,
        "distance": 2,
        "received": 2,
        "max_logit": 2,
    }
    assert row["pooled"]["shape"] == [4, 4]
    assert (row["top"]["n"], len(row["top"]["heads"])) == (2, 2)
    assert [(each["start"], each["shape"]) for each in row["tiles"]] == [([7, 11], [3, 5])]
    assert repr(view) == "Viewer('Attention', 2 maps, axes='bhq', view='summary')"


UNIFORM = np.full((2, 3, 5), 0.2)


def spoilt(value):
    weights = UNIFORM.copy()
    weights[1, 2, 3] = value
    return weights


@pytest.mark.parametrize(
    ("weights", "settings", "message"),
    [
        (spoilt(np.nan), {"axes": "hqk"}, r"weights\[1, 2, 3\] = nan is not finite"),
        (spoilt(-0.5), {"axes": "hqk"}, r"weights\[1, 2, 3\] = -0\.5 is negative"),
        (spoilt(0.7), {"axes": "hqk"}, r"weights\[1, 2, :\] sums to 1\.5, not 1"),
        ({"a": spoilt(0.7)}, {"axes": {"a": "hqk"}}, r"a\[1, 2, :\] sums to 1\.5"),
        (np.ones(3), {}, r"'weights' has shape \(3,\); \(queries, keys\)"),
        ({"a": np.ones(3)}, {}, r"'a' has shape \(3,\); \(queries, keys\), \(heads"),
        ({}, {}, "the capture is empty: 0 maps, at least 1"),
        (np.zeros((0, 3, 5)), {}, r"shape \(0, 3, 5\) is empty"),
        ({"a": np.full((2, 1, 3, 5), 0.2)}, {}, r"holds 2 examples.*example=0 to 1"),
        (
            {"a": np.full((2, 1, 3, 5), 0.2)},
            {"example": 2},
            r"holds 2 examples, and none of them is example=2",
        ),
        (
            UNIFORM,
            {"axes": "hqk", "tokens": "abc"},
            r"tokens has 3 labels, but the maps of 'layer 0' have 5 keys",
        ),
        (UNIFORM, {"axes": "hqk", "queries": "ab"}, r"queries has 2 labels, but .* have 3 queries"),
        (UNIFORM, {"axes": "hqk", "keys": "ab"}, r"keys has 2 labels, but .* have 5 keys"),
        (UNIFORM, {"axes": "hqk", "top_k": 0}, r"top_k=0"),
        (
            UNIFORM,
            {"axes": "hqk", "measures": {"m": [1, 2, 3]}},
            r"measures\['m'\] has 3 values.* 2 maps",
        ),
        (
            UNIFORM,
            {"axes": "hqk", "gold": np.ones((5, 3))},
            r"gold has shape \(5, 3\), but the maps have \(3, 5\)",
        ),
        (
            UNIFORM,
            {"axes": "hqk", "compare": UNIFORM[:1]},
            r"shapes \[\(1, 3, 5\)\], but weights has \[\(2, 3, 5\)\]",
        ),
        (
            UNIFORM,
            {"axes": "hqk", "images": np.zeros((4, 4)), "grid": (2, 2)},
            r"make 4 tokens, but .* 5 keys",
        ),
        (
            UNIFORM,
            {"axes": "hqk", "images": np.zeros((4, 5)), "grid": (2, 2), "prefix_tokens": 1},
            r"grid=\(2, 2\) does not divide an image of 4 x 5",
        ),
        (UNIFORM, {"axes": "hqk", "images": np.zeros((4, 4))}, r"do not make a square grid"),
        (UNIFORM, {"axes": "hqk", "tiles": {"a": {}}}, r"tiles names 'a'.*: none"),
        (UNIFORM, {"axes": "hqk", "compare_names": "ab"}, r"compare_names='ab'; two different"),
        (UNIFORM, {"axes": "hqk", "compare_names": ("a", "a")}, r"two different names"),
    ],
)
def test_what_does_not_fit_is_refused(weights, settings, message):
    with pytest.raises(ValueError, match=message):
        plot.viewer(weights, **settings)


@pytest.mark.parametrize(
    ("at", "shape"), [((30, 0), (2, 2, 2)), ((0, -1), (2, 2, 2)), ((0, 0), (3, 2, 2))]
)
def test_tiles_outside_the_maps_are_refused(at, shape, summary_of):
    summary = summary_of(heads=2, queries=31, top=3)
    with pytest.raises(ValueError, match=r"tile at .* 2 heads, 31 queries and 31 keys"):
        plot.viewer(summary, tiles={at: maps(*shape)})


def test_a_summary_of_a_batch_needs_an_example(summary_of):
    summary = summary_of(heads=2, queries=31, top=3, batch=(3,))
    with pytest.raises(ValueError, match="holds 3 examples"):
        plot.viewer(summary)
    assert payload(plot.viewer(summary, example=2))["summaries"][0]["heads"] == 2


VIEW = plot.viewer(
    {"first": maps(3, 5, 7), "second": maps(3, 5, 7)},
    axes="hqk",
    queries=list("vwxyz"),
    compare={"first": maps(3, 5, 7), "second": maps(3, 5, 7)},
)


@pytest.mark.parametrize(
    ("selection", "state"),
    [
        ({"layer": "second"}, {"layer": 1}),
        ({"layer": -1, "head": 2}, {"layer": 1, "head": 2}),
        ({"head": "mean", "key": 6}, {"head": "mean", "key": 6}),
        ({"query": "x", "view": "tokens"}, {"query": 2, "view": "tokens"}),
    ],
)
def test_a_selection_is_where_the_page_opens(selection, state):
    assert payload(VIEW.select(**selection))["state"] == {"view": "matrix", **state}


def test_selections_add_up():
    assert repr(VIEW.select(layer=1).select(query="w")) == (
        "Viewer('Attention', 6 maps, axes='hqk', view='matrix', layer=1, query=1)"
    )


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"layer": "third"}, r"no layer 'third' among 2: 'first', 'second'"),
        ({"head": 3}, r"no head 3 among 3: 0 to 2"),
        ({"query": "a"}, r"no query 'a' among 5"),
        ({"view": "image"}, r"no view 'image' among 5: 'matrix', 'tokens', 'heads', 'model'"),
        ({"color": 3}, r"color cannot be selected"),
    ],
)
def test_what_is_not_there_cannot_be_selected(selection, message):
    with pytest.raises(ValueError, match=message):
        VIEW.select(**selection)


@pytest.mark.parametrize(
    ("name", "start"),
    [("a.html", b"<!doctype"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF"), ("a.png", b"\x89PNG")],
)
@pytest.mark.parametrize("view", ["matrix", "tokens", "overview", "compare"])
def test_a_view_is_saved_in_every_format(tmp_path, name, start, view):
    path = VIEW.select(view=view, layer=1, query=2).save(tmp_path / name)
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.png"])
def test_an_error_while_saving_costs_no_older_file(tmp_path, name, monkeypatch):
    path = VIEW.save(tmp_path / name)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        VIEW.select(layer=1).save(path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before]


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'a\.gif' ends in '\.gif'; use one of \.html, \.svg"):
        VIEW.save(tmp_path / "a.gif")


def test_figures_show_what_is_selected():
    chosen = VIEW.select(layer=1, head=2, query=3, key=4)
    weights = maps(3, 5, 7)[2].astype(np.float32)
    axes = chosen.figure().axes[0]
    np.testing.assert_allclose(axes.images[0].get_array(), weights)
    row, column = (patch.get_bbox().bounds for patch in axes.patches)
    assert row == (-0.5, 2.5, 7, 1)
    assert column == (3.5, -0.5, 1, 5)
    bars = chosen.select(view="tokens").figure().axes[0].patches
    np.testing.assert_allclose([bar.get_height() for bar in bars], weights[3])
    mean = chosen.select(head="mean").figure().axes[0].images[0].get_array()
    np.testing.assert_allclose(mean, maps(3, 5, 7).mean(0), rtol=1e-5)


def test_compared_runs_have_the_names_given():
    first, second = maps(5, 7), maps(5, 7)[::-1]
    view = plot.viewer(first, compare=second, compare_names=("before", b"after"))
    assert payload(view)["compareNames"] == ["before", "after"]
    axes = view.select(view="compare").figure().axes[:2]
    assert [ax.get_title(loc="left") or ax.get_title() for ax in axes] == ["before", "after"]
    for ax, weights in zip(axes, (first, second), strict=True):
        np.testing.assert_allclose(ax.images[0].get_array(), weights, rtol=1e-6)


def test_images_and_summaries_are_drawn(summary_of):
    image = plot.viewer(maps(2, 5, 5), images=np.zeros((4, 4)), grid=(2, 2), prefix_tokens=1)
    drawn = image.select(query=3).figure().axes[0].images[1].get_array()
    np.testing.assert_allclose(drawn.ravel(), maps(2, 5, 5)[0, 3, 1:], rtol=1e-6)
    summary = summary_of(heads=2, queries=31, top=3, pooled=(4, 4))
    drawn = plot.viewer(summary).figure().axes[0].images[0].get_array()
    np.testing.assert_allclose(drawn, summary.pooled.mean(0))


def test_gold_links_are_drawn_on_the_maps_they_are_of():
    sure, possible = np.zeros((2, 5, 7), bool)
    sure[1, 2] = possible[4, 6] = True
    weights = {"cross": maps(5, 7), "self": maps(5, 5)}
    labels = {"queries": "abcde", "keys": {"cross": "tuvwxyz", "self": "abcde"}}
    view = plot.viewer(weights, **labels, gold=sure, possible=possible)
    for name, kinds in [("matrix", 2), ("alignment", 3)]:  # and the strongest weights
        axes = view.select(view=name).figure().axes[0]
        assert len(axes.get_legend_handles_labels()[0]) == kinds
    assert not view.select(layer="self").figure().axes[0].get_legend_handles_labels()[0]


def test_heads_of_several_shapes_make_no_one_figure():
    view = plot.viewer({"a": maps(1, 2, 5, 5), "b": maps(1, 2, 5, 7)}).select(view="overview")
    with pytest.raises(ValueError, match=r"layers of one shape.*\(2, 5, 5\), \(2, 5, 7\)"):
        view.figure()


def test_a_notebook_shows_the_page_in_a_frame_of_its_own():
    frame = VIEW._repr_html_()
    assert frame.startswith("<iframe srcdoc=")
    assert 'sandbox="allow-scripts allow-downloads"' in frame


SINGLE_HEAD = maps(8, 3, 5)


@pytest.mark.parametrize(
    ("weights", "settings", "first"),
    [
        (SINGLE_HEAD, {"axes": "bqk", "example": 2}, SINGLE_HEAD[2]),
        ({"a": SINGLE_HEAD}, {"axes": "bqk", "example": -1}, SINGLE_HEAD[7]),
        ({"a": SINGLE_HEAD}, {"example": 2}, SINGLE_HEAD[2]),
        ({"a": SINGLE_HEAD}, {"axes": {"a": "hqk"}}, SINGLE_HEAD[0]),
        ({"a": SINGLE_HEAD}, {"axes": "lqk"}, SINGLE_HEAD[0]),
        (SINGLE_HEAD, {"axes": "qhk"}, SINGLE_HEAD[:, 0]),
        (SINGLE_HEAD, {"queries": "abc"}, SINGLE_HEAD[0]),
        (SINGLE_HEAD, {"gold": np.eye(3, 5)}, SINGLE_HEAD[0]),
        (maps(8, 3, 4), {"images": np.zeros((2, 2))}, maps(8, 3, 4)[0]),
        ({"a": SINGLE_HEAD[:1]}, {}, SINGLE_HEAD[0]),
        (maps(2, 8, 3, 5), {"axes": "lbqk", "example": 6}, maps(2, 8, 3, 5)[0, 6]),
        ({"a.*.b": maps(2, 3, 5)}, {}, maps(2, 3, 5)[0]),
        ({"a.*.b": maps(2, 8, 3, 5)}, {"example": 6}, maps(2, 8, 3, 5)[0, 6]),
        ({"a.*.b": maps(2, 7, 3, 5)}, {"axes": "lhqk"}, maps(2, 7, 3, 5)[0, 0]),
    ],
)
def test_axes_are_as_given_or_plain(weights, settings, first):
    view = plot.viewer(weights, **settings)
    shown = view._content.layers[0].weights[0]
    np.testing.assert_array_equal(shown, first.astype(np.float32))


@pytest.mark.parametrize(
    ("weights", "settings", "message"),
    [
        (SINGLE_HEAD, {}, r"\(8, 3, 5\) may hold 8 examples.*or 8 heads.*axes='bqk'.*axes='hqk'"),
        ({"a": SINGLE_HEAD}, {}, r"'a' of shape .* may hold 8 examples of one head or 8 heads"),
        ({"a": SINGLE_HEAD}, {"queries": "abc"}, r"axes='bqk' and example=0 to 7"),
        (SINGLE_HEAD, {"images": np.zeros((8, 2, 2, 1))}, "may hold 8 examples"),
        ({"a.*.b": maps(2, 7, 3, 5)}, {}, r"7 examples of one head.*axes='lbqk'.*axes='lhqk'"),
        (SINGLE_HEAD, {"axes": "bqk"}, "holds 8 examples, and none is chosen"),
        (SINGLE_HEAD, {"axes": "bqx"}, r"axes='bqx' for 'weights': give one letter .*h \(heads\)"),
        (SINGLE_HEAD, {"axes": "qqk"}, "each at most once"),
        (SINGLE_HEAD, {"axes": "bhq"}, "q and k always"),
        (SINGLE_HEAD, {"axes": "bhqk"}, r"names 4 axes, but 'weights' of shape \(8, 3, 5\) has 3"),
        ({"a": SINGLE_HEAD}, {"axes": {"b": "bqk"}}, "axes names 'b'; .* can name are: 'a'"),
        (SINGLE_HEAD, {"axes": "hqk", "example": 0}, "example=0, but nothing has a batch axis"),
        (maps(3, 5), {"example": 0}, r"no.* batch axis .*'layer 0': 3 × 5 = queries × keys"),
        ({"a.*.b": maps(2, 2, 1, 2, 3, 5)}, {}, r"shape \(2, 2, 1, 2, 3, 5\)"),
    ],
)
def test_axes_that_are_not_clear_are_asked_for(weights, settings, message):
    with pytest.raises(ValueError, match=message):
        plot.viewer(weights, **settings)


def test_a_summary_knows_its_axes(summary_of):
    summary = summary_of(heads=2, queries=31, top=3, batch=(3,))
    (row,) = payload(plot.viewer(summary, example=-1))["summaries"]
    assert row["reading"] == "3 × 2 × 31 = batch × heads × queries, example 2"
    with pytest.raises(ValueError, match="axes='hqk', but a summary knows its own axes"):
        plot.viewer({"a": summary}, example=0, axes="hqk")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_measures_that_are_no_numbers_are_refused_at_once(value):
    with pytest.raises(ValueError, match=r"measures\['m'\]\[1\] = .* is not finite.*leave"):
        plot.viewer(UNIFORM, axes="hqk", measures={"m": [1.0, value]})


@pytest.mark.parametrize("value", [np.nan, -1.0])
def test_tiles_that_are_no_weights_are_refused_at_once(value, summary_of):
    tile = np.full((2, 3, 3), 0.1)
    tile[1, 2, 0] = value
    with pytest.raises(ValueError, match=r"tile at \(0, 0\).*\[1, 2, 0\]"):
        plot.viewer(summary_of(heads=2, queries=31, top=3), tiles={(0, 0): tile})


def test_numbers_of_numpy_are_numbers(summary_of):
    one = np.int64(1)
    tiles = {(one, one): maps(2, 3, 5)}
    assert plot.viewer(summary_of(heads=2, queries=31, top=3), tiles=tiles).html()
    assert plot.viewer(UNIFORM, axes="hqk").select(query=one, head=one).html()


def test_bytes_are_read_as_text():
    view = plot.viewer(UNIFORM, queries=[b"ab", "caf\u00e9".encode(), b"\xff"])
    assert payload(view)["labels"] == [["ab", "café", "\\xff"]]
    assert payload(view.select(query=b"ab"))["state"]["query"] == 0
    drawn = plot.heatmap(UNIFORM[0], queries=[b"ab", b"c", b"\xff"]).axes[0].get_yticklabels()
    assert [label.get_text() for label in drawn] == ["ab", "c", "\\xff"]


def test_a_still_notebook_shows_a_picture():
    chosen = VIEW.select(layer=1, head=2)
    picture = matplotlib.image.imread(io.BytesIO(chosen._repr_png_()), format="png")
    assert picture.shape == matplotlib.image.imread(io.BytesIO(chosen._repr_png_())).shape
    assert min(picture.shape[:2]) > 100
    assert picture[..., :3].std() > 0.05
    uneven = plot.viewer({"a": maps(1, 2, 5, 5), "b": maps(1, 2, 5, 7)})
    first = uneven.select(view="matrix")._repr_png_()
    assert uneven.select(view="overview")._repr_png_() == first


def test_a_page_without_scripts_is_the_same_picture():
    drawn = matplotlib.image.imread(io.BytesIO(VIEW._repr_png_()), format="png")[..., :3]
    for text in (VIEW.html(), VIEW._repr_html_()):
        (address,) = set(re.findall(r'<img src="data:image/webp;base64,([^"]+)"', text))
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(address))).convert("RGB")) / 255
        assert abs(shown - drawn).mean() < 0.01
    assert "<noscript>" in VIEW.html()
