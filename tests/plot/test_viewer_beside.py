"""What a viewer is given beside weights: scores, masks, sentences, captured vectors, and pages."""

import base64
import json
import re
import zlib

import numpy as np
import pytest

from attn_jax import plot
from attn_jax.plot.viewer.scores import head_scores


def maps(*shape):
    return np.random.default_rng(0).dirichlet(np.ones(shape[-1]), shape[:-1])


def payload(view):
    text = re.search(r'id="payload">(.*?)</script>', view.html(), re.DOTALL)
    return json.loads(text[1])


def numbers(view, line):
    """The numbers of an encoded line."""
    text = view._content.encoded[1][line["blob"]]
    low, high = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(2, -1)
    return line["low"] + line["step"] * (low + 256.0 * high)


def test_scores_of_heads_are_mean_weights_on_their_keys():
    weights = maps(3, 7, 7).astype(np.float32)
    labels = list("abcabxa")
    scores = head_scores(weights, (labels, labels))
    expected = {"previous token": [], "first token": [], "induction": []}
    for head in weights:
        expected["previous token"].append(np.mean([head[q, q - 1] for q in range(1, 7)]))
        expected["first token"].append(np.mean([head[q, 0] for q in range(1, 7)]))
        sums = []
        for query in range(7):
            after = [k for k in range(1, query + 1) if labels[k - 1] == labels[query]]
            sums += [sum(head[query, k] for k in after)] if after else []
        expected["induction"].append(np.mean(sums))
    for name, values in expected.items():
        assert scores[name] == pytest.approx(values, rel=1e-5)


@pytest.mark.parametrize(
    ("shape", "labels", "names"),
    [
        ((2, 5, 5), None, {"previous token", "first token"}),
        ((2, 5, 5), "abcde", {"previous token", "first token"}),
        ((2, 5, 5), "abada", {"previous token", "first token", "induction"}),
        ((2, 5, 7), None, set()),
        ((2, 1, 1), None, set()),
    ],
)
def test_only_scores_that_some_head_has_are_offered(shape, labels, names):
    view = plot.viewer(maps(*shape), axes="hqk", tokens=labels and list(labels))
    assert set(payload(view)["scores"]) == names


CAUSAL = np.tri(5, dtype=bool)


def causal(*shape):
    weights = maps(*shape, 5, 5) * CAUSAL
    return weights / weights.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    "mask",
    [CAUSAL, CAUSAL.astype(int), CAUSAL[None], CAUSAL[None, None], {"a": CAUSAL}, CAUSAL.tolist()],
)
def test_a_mask_of_any_rank_hides_the_same_cells(mask):
    view = plot.viewer({"a": causal(1, 2)}, mask=mask)
    (row,) = payload(view)["layers"]
    bits = zlib.decompress(base64.b64decode(view._content.encoded[1][row["hidden"][0]]))
    hidden = np.unpackbits(np.frombuffer(bits, np.uint8))[:25].reshape(5, 5)
    np.testing.assert_array_equal(hidden, ~CAUSAL)


def test_a_mask_may_differ_by_example_and_head():
    mask = np.ones((2, 3, 5, 5), bool)
    mask[1, 2] = CAUSAL
    weights = np.stack([maps(3, 5, 5), maps(3, 5, 5)])
    weights[1, 2] = causal()
    view = plot.viewer({"a": weights}, mask=mask, example=1)
    assert [view._content.masks["a"][head].all() for head in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (CAUSAL.T, r"mask hides key 0 from query \d, but head \d of 'a' gives it 0\.\d+; True"),
        (np.ones((5, 7)), r"mask has shape \(5, 7\), but the maps of 'a' are \(2 heads, 5 queries"),
        (np.where(CAUSAL, 0, -np.inf), r"mask holds numbers other than 0 and 1; give booleans"),
        ({"b": CAUSAL}, r"mask names 'b'; the layers it can name are: 'a'"),
    ],
)
def test_masks_that_do_not_fit_are_refused(mask, message):
    with pytest.raises(ValueError, match=message):
        plot.viewer({"a": causal(1, 2)}, mask=mask)


@pytest.mark.parametrize("view", ["matrix", "overview"])
def test_hidden_cells_are_gray_in_a_figure(view):
    weights = {"a": causal(1, 2)}
    figures = [
        plot.viewer(weights, **settings).select(view=view).figure()
        for settings in ({}, {"mask": CAUSAL})
    ]
    plain, masked = (np.ma.getmaskarray(each.axes[0].images[0].get_array()) for each in figures)
    assert not plain.any()
    np.testing.assert_array_equal(masked, ~CAUSAL)


def test_a_second_sentence_begins_after_the_first_separator():
    tokens = ["[CLS]", "a", "[SEP]", "b", "[SEP]"]
    weights = {"a": maps(1, 2, 5, 5), "cross": maps(1, 2, 5, 7)}
    starts = [row["sentenceB"] for row in payload(plot.viewer(weights, queries=tokens))["layers"]]
    assert starts == [None, None]  # only the queries are known to be these tokens
    (row,) = payload(plot.viewer({"a": weights["a"]}, tokens=tokens))["layers"]
    assert row["sentenceB"] == [3, 3]
    (row,) = payload(plot.viewer({"a": weights["a"]}, sentence_b=2))["layers"]
    assert row["sentenceB"] == [2, 2]


@pytest.mark.parametrize("start", [0, 5, -1])
def test_a_second_sentence_outside_the_maps_is_refused(start):
    message = rf"sentence_b={start} must be the index .* within .*\(5, 5\)"
    with pytest.raises(ValueError, match=message):
        plot.viewer(maps(5, 5), sentence_b=start)


def captured(prefix="layers.0.attention", heads=3, groups=3, stack=()):
    rng = np.random.default_rng(2)
    query = rng.standard_normal((*stack, 1, 5, heads, 4))
    key = rng.standard_normal((*stack, 1, 5, groups, 4))
    whole = np.repeat(key, heads // groups, axis=-2)
    scores = np.einsum("...qhd,...khd->...hqk", query, whole) / 2
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    leaves = {"weights": weights, "query": query, "key": key}
    return {f"{prefix}.{name}".lstrip("."): array for name, array in leaves.items()}


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({}, ()),
        ({"prefix": ""}, ()),
        ({"heads": 6, "groups": 2}, ()),
        ({"prefix": "layers.*.attention", "stack": (2,)}, (1,)),
    ],
)
def test_queries_and_keys_are_found_beside_their_weights(settings, place):
    seen = captured(**settings)
    view = plot.viewer(seen)
    row = payload(view)["layers"][-1]
    query, key = (next(v for n, v in seen.items() if n.endswith(x)) for x in ("query", "key"))
    heads, groups = query.shape[-2], key.shape[-2]
    assert row["neurons"]["size"] == 4
    assert row["neurons"]["scale"] == 0.5
    for head in range(heads):
        shown = numbers(view, row["neurons"]["key"][head]).reshape(5, 4)
        expected = key[place][0, :, head * groups // heads]
        np.testing.assert_allclose(shown, expected, atol=1e-3)


def test_other_captured_values_are_no_maps():
    seen = captured() | {"embedding": np.ones((1, 5, 7)), "layers.0.mlp": np.ones((1, 5, 7))}
    assert [row["name"] for row in payload(plot.viewer(seen))["layers"]] == [
        "layers.0.attention.weights"
    ]


def test_norms_of_values_and_shares_of_attention_are_stored():
    rng = np.random.default_rng(3)
    value, output, residual = (rng.standard_normal(s) for s in ((1, 5, 3, 4), (1, 5, 7), (1, 5, 7)))
    seen = captured() | {"layers.0.attention.value": value, "layers.0.attention.output": output}
    view = plot.viewer(seen | {"layers.0.residual": residual})
    (row,) = payload(view)["layers"]
    norms = np.linalg.norm(value[0], axis=-1).T
    for head in range(3):
        np.testing.assert_allclose(numbers(view, row["valueNorms"][head]), norms[head], atol=1e-3)
    new, old = np.linalg.norm(output[0], axis=-1), np.linalg.norm(residual[0], axis=-1)
    share = numbers(view, row["attentionShare"])
    np.testing.assert_allclose(share, new / (new + old), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("query", np.ones((1, 7, 3, 4)), r"query' has shape \(1, 7, 3, 4\), .* 3 heads and 5 tok"),
        ("key", np.ones((1, 5, 2, 4)), r"key' has shape \(1, 5, 2, 4\), .* 3 heads and 5 tokens"),
        ("scores", np.ones((1, 3, 5, 7)), r"scores' has shape \(1, 3, 5, 7\), but .* \(3, 5, 5\)"),
    ],
)
def test_captured_values_that_do_not_fit_are_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        plot.viewer(captured() | {f"layers.0.attention.{name}": value})


def test_several_examples_make_one_page():
    weights = maps(3, 2, 5, 5)
    tokens = ["abcde", "vwxyz", "fghij"]
    gold = np.zeros((3, 5, 5), bool)
    gold[2, 1, 1] = True
    view = plot.viewer(
        {"a": weights}, example=[2, 0], tokens=[list(text) for text in tokens], gold=gold
    )
    row = payload(view)
    assert row["pages"]["kind"] == "example"
    assert row["pages"]["names"] == ["2", "0"]
    assert row["labels"] == [list("fghij")]
    (other,) = row["pages"]["others"]
    assert other["labels"] == [list("abcde")]
    assert (row["gold"]["sure"], other["gold"]["sure"]) == ([[1, 1]], [])
    assert other["firstBlob"] == 2
    chosen = view.select(example=0, query="c")
    assert payload(chosen)["state"] == {"view": "matrix", "page": 1, "query": 2}
    np.testing.assert_array_equal(chosen._content.layers[0].weights, weights[0].astype(np.float32))


def test_training_steps_make_one_page():
    captures = [{"a": maps(1, 2, 5, 5)}, {"a": causal(1, 2)}]
    view = plot.viewer(captures, steps=["before", "after"], tokens=list("abcde"))
    assert payload(view)["pages"]["names"] == ["before", "after"]
    assert payload(view.select(step="after"))["state"]["page"] == 1
    assert payload(view.select(step=-1))["state"]["page"] == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"example": []}, r"example=\[\]; give the indices of different examples"),
        ({"example": [1, 1]}, r"example=\[1, 1\]; give the indices of different examples"),
        ({"example": [0, 4]}, r"holds 3 examples, and none of them is example=4"),
        (
            {"example": [0, 2], "tokens": [list("abcde")] * 2},
            r"tokens is a batch of 2, in which there is no example 2",
        ),
        ({"steps": [0], "example": [0, 1]}, r"between steps and not between example=\[0, 1\]"),
        ({"steps": [0, 1]}, r"steps names 2 training steps, but weights holds 1"),
    ],
)
def test_pages_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        plot.viewer({"a": maps(3, 2, 5, 5)}, **settings)


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"example": 7}, r"there is no example '7' in this page: 0, 2"),
        ({"step": 0}, r"step cannot be selected"),
    ],
)
def test_pages_that_are_not_there_cannot_be_selected(selection, message):
    view = plot.viewer({"a": maps(3, 2, 5, 5)}, example=[0, 2])
    with pytest.raises(ValueError, match=message):
        view.select(**selection)


@pytest.mark.parametrize(
    ("word", "view"),
    [("heads", "heads"), ("Heads", "heads"), ("model", "overview"), ("overview", "overview")],
)
def test_views_are_selected_by_the_words_of_their_tabs(word, view):
    viewer = plot.viewer(maps(2, 3, 5, 5), tokens=list("abcde"))
    assert payload(viewer.select(view=word))["state"]["view"] == view


@pytest.mark.parametrize("view", ["heads", "neuron"])
def test_heads_and_vectors_are_drawn_for_print(tmp_path, view):
    viewer = plot.viewer(captured(), tokens=list("abcde")).select(view=view, head=1, query=3)
    assert viewer.save(tmp_path / "figure.svg").read_text().count("<path") > 5


def test_a_layer_without_vectors_has_no_figure_of_them():
    seen = captured() | {"other.weights": maps(1, 3, 5, 5)}
    viewer = plot.viewer(seen).select(view="neuron", layer="other.weights")
    with pytest.raises(ValueError, match=r"queries and keys of 'other.weights' were not captured"):
        viewer.figure()
