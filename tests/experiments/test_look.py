"""The page of a checkpoint: its maps beside those of transformers, and what it refuses."""

import html
import json
import re
import runpy
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from attn_jax import hooks, pretrained
from experiments.__main__ import main
from experiments.look.judging import LastLayer, judged_rows, last_layer
from experiments.look.kinds import Given, look_at
from experiments.look.look import Choice
from experiments.look.page import _model_facts, short_name
from experiments.look.reducing import fit
from experiments.look.running import by_number
from experiments.look.sheets import Reading, draw_sheets
from experiments.report.language import in_chinese

RNG = np.random.default_rng(0)


def looked(folder):
    """The folder of the only look in a folder of looks."""
    (page,) = folder.glob("*/*/report.html")
    return page.parent


@pytest.fixture(scope="module")
def texts(tiny_bert):
    """The two texts, of seven and five words, whose attention transformers computed."""
    pairs = zip(tiny_bert["tokens"], tiny_bert["key_mask"], strict=True)
    return [" ".join(f"w{number}" for number in row[exists]) for row, exists in pairs]


@pytest.fixture(scope="module")
def look(tiny_bert_folder, texts, tmp_path_factory):
    """A look at both texts."""
    looks = tmp_path_factory.mktemp("looks")
    options = ["--layer", "0", "--head", "-1", "--save-captured", "--looks", str(looks)]
    options += ["--language", "zh"]
    both = [f"--text={texts[0]}", f"--text2={texts[1]}"]
    assert main(["look", str(tiny_bert_folder), *both, *options]) == 0
    return looked(looks)


def reading(tokens=5, layers=2, heads=3, number="", text="a text"):
    """A text of numbered tokens with random attention."""
    maps = RNG.dirichlet(np.ones(tokens), (layers, heads, tokens)).astype(np.float32)
    named = {f"layer {i}": layer for i, layer in enumerate(maps)}
    return Reading(number, f"Text {number[1:]}", text, [f"t{i}" for i in range(tokens)], named)


def sheets(*readings, layer=1, head=None):
    return {sheet.name: sheet for sheet in draw_sheets(readings, Choice(layer, head))}


def test_the_captured_weights_are_those_of_transformers(look, tiny_bert):
    with np.load(look / "captured.npz", allow_pickle=False) as captured:
        for layer in range(2):
            name = f"layers.{layer}.attention.weights"
            weights, expected = captured[name], tiny_bert[name]
            for i, length in enumerate((7, 5)):
                ours, theirs = (w[i, :, :length, :length] for w in (weights, expected))
                np.testing.assert_allclose(ours, theirs, atol=2e-6)
        np.testing.assert_array_equal(captured["key_mask"], tiny_bert["key_mask"])


def test_the_page_shows_the_texts_their_tokens_and_where_the_model_is_from(
    look, texts, tiny_bert_folder
):
    page = (look / "report.html").read_text("utf-8")
    tokens = [re.findall("<li>(.*?)</li>", line) for line in page.split('class="tokens"')[1:]]
    assert [" ".join(row) for row in tokens] == texts
    assert '<html lang="zh-Hans">' in page
    assert "Attention of bert" in page
    assert "not stated in the checkpoint" in page
    assert "There is no report card" in page
    assert str(tiny_bert_folder) in page
    assert page.count("<iframe") == 2
    labels = json.dumps(texts[1].split(), separators=(",", ":"))
    assert f'"labels":[{labels}]' in html.unescape(page)


def test_the_figures_are_there_and_say_which_map_they_show(look):
    names = {path.name for path in (look / "figures").iterdir()}
    assert {"map-1.png", "map-2.svg", "heads-1.png", "viewer-1.html", "viewer-2.html"} <= names
    titles = [f["title"] for f in json.loads((look / "figures/index.json").read_text())["figures"]]
    assert "Layer 0, head 3: text 2" in titles


@pytest.mark.parametrize(("cells", "head"), [(10**6, None), (500, 1), (4 * 246, None), (90, 1)])
def test_every_title_and_caption_is_known_in_chinese(cells, head, monkeypatch):
    for name, value in (("CELLS", cells), ("_LONG", 6), ("_MAP_CELLS", 98)):
        monkeypatch.setattr(f"experiments.look.sheets.{name}", value)
    both = sheets(reading(7, number="-1"), reading(7, number="-2"), head=head)
    drawn = [*both.values(), *sheets(reading(9, layers=1), layer=0).values()]
    texts = [text for sheet in drawn for text in (sheet.title, sheet.caption)]
    assert [text for text in texts if in_chinese(text) is None] == []


def test_a_chinese_page_has_its_words_in_chinese(look):
    page = (look / "report.html").read_text("utf-8")
    for chinese in ("层 × 头", "词元", "文字 1", "自己看看：文字 2", "检查点的文件里没有说明"):
        assert f">{chinese}<" in page
    viewer = (look / "figures/viewer-1.html").read_text("utf-8")
    assert json.dumps("第 1 层") in viewer
    assert "<!-- 头 1 -->" in (look / "figures/heads-1.svg").read_text("utf-8")


@pytest.fixture(scope="module")
def written(tiny_llama_folder, tmp_path_factory):
    """A look at a language model that writes on from a text."""
    looks = tmp_path_factory.mktemp("looks")
    options = ["--generate", "6", "--save-captured", "--looks", str(looks)]
    assert main(["look", str(tiny_llama_folder), "--text", "w5 w7", *options]) == 0
    return looked(looks)


def test_a_language_model_is_looked_at_while_it_writes(written, tiny_llama_folder):
    with np.load(written / "captured.npz") as captured:
        tokens, weights = captured["tokens"], captured["layers.0.attention.weights"]
        assert {name.rpartition(".")[2] for name in captured} == {"weights", "tokens", "key_mask"}
    model = pretrained.load(tiny_llama_folder)
    np.testing.assert_array_equal(tokens, model.generate(model.encode(["w5 w7"]), 6).tokens)
    capture = jax.jit(hooks.capture(model, "layers.0.attention.weights"))
    _, expected = capture({"tokens": tokens})
    np.testing.assert_allclose(weights, *expected.values(), atol=1e-6)


def test_the_code_on_the_page_gives_what_was_captured(written, tmp_path):
    example = html.unescape((written / "report.html").read_text().split("<pre>")[-1])
    script = tmp_path / "example.py"
    script.write_text(example.split("</pre>")[0])
    names = runpy.run_path(str(script))
    with np.load(written / "captured.npz") as captured:
        for name, weights in names["weights"].items():
            np.testing.assert_allclose(weights, captured[name], atol=1e-6)


def test_the_page_of_a_language_model_has_a_report_card(written):
    page = (written / "report.html").read_text()
    assert "The card judges the mean of 4 heads of the last layer" in page
    assert "at the last 5 tokens" in page
    assert len(re.findall('<th scope="row"><span [^>]*>Comprehensiveness', page)) == 1


@pytest.mark.parametrize("head", [None, 2])
def test_the_last_layer_alone_predicts_what_the_whole_model_does(head, tiny_llama_folder):
    """Both with the same edit of the rows' weights."""
    model, layer = pretrained.load(tiny_llama_folder), LastLayer("layers.1", head=head)
    inputs = model.encode(["w5 w7 w9 w11 w13 w17 w19", "w20 w21 w22 w23 w24"])
    _, captured = jax.jit(hooks.capture(model, ["*.weights", *layer.points]))(inputs)
    captured = {name: np.asarray(value) for name, value in captured.items()}
    point = "layers.1.attention.weights"
    rows = judged_rows(captured[point], np.asarray(inputs["key_mask"]))
    assert [pair.tolist() for pair in rows] == [[0, 0, 0, 0, 1, 1], [3, 4, 5, 6, 3, 4]]

    fn, batch = last_layer(model, layer, captured, inputs, rows)
    logits = jax.jit(hooks.intervene(fn, {point: lambda w, _: w**2}))(batch)
    texts, positions = (axis[:, None] for axis in rows)
    at = (texts, np.arange(4)[None] if head is None else np.array([[head]]), positions)
    edit = {point: lambda w, _: w.at[at].set(w[at] ** 2)}
    whole = jax.jit(hooks.intervene(model, edit))(inputs)[rows]
    np.testing.assert_allclose(logits, whole, atol=2e-6)


def test_a_file_is_read_as_one_text(tiny_bert_folder, tmp_path, capsys):
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeffw7 <w8>\n$x$\n".encode())
    looks = tmp_path / "looks"
    assert main(["look", str(tiny_bert_folder), "--file", str(path), "--looks", str(looks)]) == 0
    folder = looked(looks)
    assert capsys.readouterr().out.splitlines()[-1] == f"Page: {folder / 'report.html'}"
    assert not (folder / "captured.npz").exists()
    page = (folder / "report.html").read_text("utf-8")
    assert '<p class="text">w7 &lt;w8&gt;' in page
    assert page.count("<iframe") == 1


@pytest.mark.parametrize("head", [None, 2])
def test_the_map_is_of_the_chosen_layer_and_head(head):
    text = reading()
    drawn = sheets(text, head=head)["map"]
    layer = text.layers["layer 1"]
    expected = layer.mean(0) if head is None else layer[head]
    np.testing.assert_allclose(drawn.figure.axes[0].images[0].get_array(), expected)
    assert drawn.title == ("Layer 1, mean of 3 heads" if head is None else "Layer 1, head 2")


@pytest.mark.parametrize(("other", "compared"), [(5, True), (4, False)])
def test_texts_of_one_length_are_compared(other, compared):
    first, second = reading(number="-1"), reading(other, number="-2")
    second.tokens[1] = "u1"
    names = list(sheets(first, second))
    each = ["viewer-1", "viewer-2", "map-1", "map-2", "heads-1", "heads-2"]
    assert names == (["compare"] if compared else []) + each
    if compared:
        page = sheets(first, second)["compare"].figure.html()
        assert '["t0","t1 / u1","t2","t3","t4"]' in page
        assert '"compareNames":["text 1","text 2"]' in page


def test_the_heads_of_a_long_text_lose_no_large_weight():
    text = reading(tokens=131, layers=1, heads=1)
    whole = text.layers["layer 0"][0]
    image = sheets(text, layer=0)["heads"].figure.axes[0].images[0].get_array()
    assert image.shape == (64, 64)
    for row in range(64):
        for column in range(64):
            (top, bottom), (left, right) = (
                (i * 131 // 64, (i + 1) * 131 // 64) for i in (row, column)
            )
            assert image[row, column] == whole[top:bottom, left:right].max()


def test_maps_that_fit_are_stored_as_they_are():
    text = reading()
    maps = fit(text.layers, text.tokens, 0)
    assert maps.note == ""
    assert maps.labels == {"layer 0": text.tokens, "layer 1": text.tokens}
    for name, weights in text.layers.items():
        np.testing.assert_array_equal(maps.layers[name], weights)


def test_layers_that_do_not_fit_are_stored_as_tiles_except_for_the_chosen_one():
    text = reading(tokens=11, layers=3, heads=2)
    maps = fit(text.layers, text.tokens, -1, room=405)
    np.testing.assert_array_equal(maps.layers["layer 2"], text.layers["layer 2"])
    assert maps.labels["layer 2"] == text.tokens
    assert "Layer 2 is stored token by token, the other layers as 6 × 6 tiles" in maps.note
    assert maps.labels["layer 1"] == ["t0", "t1…t2", "t3…t4", "t5…t6", "t7…t8", "t9…t10"]
    ends = [0, 1, 3, 5, 7, 9, 11]
    for head in range(2):
        whole = text.layers["layer 1"][head]
        for row, (top, bottom) in enumerate(pairwise(ends)):
            for column, (left, right) in enumerate(pairwise(ends)):
                share = whole[top:bottom, left:right].sum() / (bottom - top)
                assert maps.layers["layer 1"][head, row, column] == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize("layers", [1, 4])
def test_no_text_takes_more_room_than_there_is(layers):
    text = reading(tokens=40, layers=layers, heads=3)
    maps = fit(text.layers, text.tokens, 0, room=500)
    assert 300 < sum(weights.size for weights in maps.layers.values()) <= 500
    for name, weights in maps.layers.items():
        assert weights.shape == (3, *[len(maps.labels[name])] * 2)
        np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)


def test_two_long_texts_of_one_length_are_compared_tile_by_tile(monkeypatch):
    monkeypatch.setattr("experiments.look.sheets.CELLS", 4 * 246)
    first, second = reading(7, number="-1"), reading(7, number="-2")
    compared = sheets(first, second)["compare"]
    assert "Layer 1 is stored token by token, the other layers as 5 × 5 tiles" in compared.caption
    assert '"t1","t2\\u2026t3"' in compared.figure.html()


def test_layers_are_in_the_order_of_their_numbers():
    names = [f"layers.{i}.attention.weights" for i in range(12)]
    assert sorted(sorted(names), key=by_number) == names


def test_weights_that_are_fetched_are_shown_with_their_license(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("minilm", "sentence-transformers/all-MiniLM-L6-v2"):
        facts = dict(_model_facts(SimpleNamespace(name=name, config={"model_type": "bert"})))
        assert facts["license"] == "Apache-2.0"
        assert "Wang et al., 2020" in facts["made by"]
        assert facts["weights"].startswith("those that its makers published")


def test_a_folder_of_the_same_name_is_somebody_s_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("minilm").mkdir()
    facts = dict(_model_facts(SimpleNamespace(name="minilm", config={"model_type": "bert"})))
    assert facts["license"].startswith("not stated")
    assert short_name("minilm") == "minilm"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--text", "  "], "text 0 is empty"),
        (["--text", "w7", "--text2", ""], "text 1 is empty"),
        (["--text", "w7 " * 41], "text 0 has 41 tokens, and the model takes 40"),
        (["--file", "absent.txt"], "absent.txt"),
        (["--file", "latin.txt"], "latin.txt: byte 4 is not UTF-8"),
        (["--file", "latin.txt", "--text", "w7"], "--text and --file each give what is to"),
        (["--image", "absent.png"], "absent.png is not a file"),
        (["--image", "latin.txt"], "bert reads texts, not images: give one with --text"),
        (["--audio", "latin.txt"], "bert reads texts, not sounds: give one with --text"),
        (["--audio", "latin.txt", "--text2", "w7"], "--audio and --text2 each give what"),
        (["--layer", "2"], "--layer 2 is none of the 2 layers of this model; choose 0 to 1, or -1"),
        (["--head", "-5"], "--head -5 is none of the 4 heads"),
    ],
    ids=[
        *("blank", "second", "long", "absent", "latin", "both", "no image", "image", "sound"),
        *("two", "layer", "head"),
    ],
)
def test_input_that_cannot_be_read_is_refused_in_a_line(
    options, message, tiny_bert_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    assert main(["look", str(tiny_bert_folder), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("looks").exists()


def test_weights_are_not_fetched_for_an_input_that_they_cannot_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTN_JAX_CACHE", str(tmp_path / "cache"))
    for model, readable in (("dinov2-small", "images"), ("whisper-tiny.en", "sounds")):
        assert main(["look", model, "--text", "a cat"]) == 2
        assert f"{model} reads {readable}, not texts: give one" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


class Reads:
    """A model that reads images or sounds; the name of its reader's argument says so."""

    name = "a-model"
    model = reader = None

    def __init__(self, kind):
        readers = {"images": lambda images: images, "sounds": lambda sounds: sounds}
        self.reader = SimpleNamespace(encode=readers[kind])


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("images", Given(["a text"]), r"reads images, not texts: give one with --image \(make"),
        ("sounds", Given(["a text"]), r"reads sounds, not texts: give one with --audio \(make"),
        ("sounds", Given(image=Path("a.jpg")), "reads sounds, not images: give one with --audio"),
        ("images", Given(), "reads images: give one with --image"),
    ],
    ids=["text", "text to sounds", "image to sounds", "nothing"],
)
def test_a_model_is_not_given_what_it_does_not_read(kind, given, message):
    with pytest.raises(ValueError, match=message):
        look_at(Reads(kind), given, Choice())


def test_only_models_of_texts_write():
    with pytest.raises(ValueError, match="--generate 3 is for texts; leave it out"):
        look_at(Reads("images"), Given(image=Path("a.jpg")), Choice(), 3)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("minlm", "'minlm' is neither a folder, nor a name on the hub"),
        (".", "has no config.json"),
    ],
)
def test_a_model_that_is_none_is_refused_in_a_line(model, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["look", model]) == 2
    error = capsys.readouterr().err
    assert error.startswith("PretrainedError: ")
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tiny_bert_folder, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("experiments.look.page.write_atomically", full)
    looks = tmp_path / "looks"
    assert main(["look", str(tiny_bert_folder), "--text", "w7 w8", "--looks", str(looks)]) == 2
    assert "No space left" in capsys.readouterr().err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert not list(looks.glob("*/*"))


def test_a_text_may_look_like_an_option_or_like_nothing(monkeypatch):
    commands = []
    monkeypatch.setattr(
        "experiments.look.command.look", lambda command, _: commands.append(command)
    )
    assert main(["look", "tiny", "--text=--layer", "--text2", "None", "--head", "3"]) == 0
    (command,) = commands
    assert (command.text, command.text2, command.head) == ("--layer", "None", 3)


def test_the_help_names_the_options_without_a_model(capsys):
    with pytest.raises(SystemExit) as end:
        main(["look", "--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    for option in ("--text", "--text2", "--file", "--image", "--audio", "--layer", "--head"):
        assert option in said
