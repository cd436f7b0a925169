"""The page of a model that writes one text from another."""

import json
import re

import numpy as np
import pytest
from netra_file import random_arrays, write_keras
from pretrained_folder import golden_config, write_golden

from attn_jax import hooks, pretrained
from attn_jax.plot.fonts import legible
from experiments.__main__ import main
from experiments.look.look import Choice
from experiments.look.translation import look_at_translation
from experiments.report.language import in_chinese


@pytest.fixture(scope="module")
def bart(tmp_path_factory):
    words = [f"w{number}" for number in range(2, golden_config("bart")["vocab_size"])]
    return write_golden("bart", tmp_path_factory.mktemp("models"), words)


@pytest.fixture(scope="module")
def page(bart, tmp_path_factory):
    """The folder of a look."""
    looks = tmp_path_factory.mktemp("looks")
    options = ["--generate", "4", "--head", "3", "--save-captured", "--looks", str(looks)]
    assert main(["look", str(bart), "--text", "w5 w7 w9", *options]) == 0
    (page,) = looks.glob("*/*/report.html")
    return page.parent


@pytest.fixture(scope="module")
def written(bart):
    """The model, its arguments with what it wrote, and the numbers of that."""
    model = pretrained.load(bart)
    inputs = model.encode(["w5 w7 w9"])
    result = model.generate(inputs, 4)
    tokens = result.tokens[0, : int(result.lengths[0])]
    return model, inputs | {"decoder_tokens": tokens[None, :-1]}, tokens.tolist()


def test_the_captured_weights_are_those_of_what_it_wrote(page, written):
    model, inputs, tokens = written
    _, expected = hooks.capture(model, "*.weights")(inputs)
    with np.load(page / "captured.npz") as captured:
        np.testing.assert_array_equal(captured["decoder_tokens"], [tokens[:-1]])
        for name, weights in expected.items():
            np.testing.assert_allclose(captured[name], weights, atol=2e-6)


def test_the_page_shows_both_texts(page, written):
    model, _, tokens = written
    content = (page / "report.html").read_text("utf-8")
    rows = [re.findall("<li>(.*?)</li>", line) for line in content.split('class="tokens"')[1:]]
    assert rows == [["w5", "w7", "w9"], model.tokenizer.shown(tokens[1:])]
    assert "What it wrote" in content
    assert "There is no report card" in content


def test_there_is_a_figure_of_each_attention(page):
    figures = json.loads((page / "figures/index.json").read_text())["figures"]
    titles = {each["name"]: each["title"] for each in figures}
    texts = [text for each in figures for text in (each["title"], each["caption"]) if text]
    assert [text for text in texts if in_chinese(text) is None] == []
    assert list(titles) == [
        "alignment",
        "viewer-cross",
        "viewer-encoder",
        "viewer-decoder",
        "heads",
    ]
    assert titles["alignment"].endswith("layer 1, head 3")


def test_the_code_on_the_page_makes_the_arguments(bart, written):
    model, inputs, _ = written
    look = look_at_translation(model, "w5 w7 w9", Choice(), 4)
    names = {"model": model}
    exec(look.inputs_code, names)
    for name, value in inputs.items():
        np.testing.assert_array_equal(names["inputs"][name], value)


def test_without_a_number_it_writes_as_much_as_it_needs(written):
    look = look_at_translation(written[0], "w5 w7 w9", Choice())
    # Twice the tokens that it read and ten, if it does not end before.
    assert 1 <= look.captured["decoder_tokens"].shape[1] <= 16


def test_a_layer_that_is_not_there_is_refused(written):
    with pytest.raises(ValueError, match="--layer 2 is none of the 2 layers"):
        look_at_translation(written[0], "w5", Choice(2), 1)


def test_one_map_without_heads_and_signs_without_a_font(tmp_path):
    model = pretrained.load(write_keras(tmp_path / "tiny.keras", random_arrays()))
    look = look_at_translation(model, "Sok sabay", Choice(), 3)
    assert look.headline[0] == ("layers × heads", "1 × 1")
    assert look.texts[0].tokens == [*"soksabay", *"·" * 17]
    sheets = {sheet.name: sheet for sheet in look.sheets}
    assert list(sheets) == ["alignment", "viewer-cross"]
    axes = sheets["alignment"].figure.axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert len(labels) == look.captured["decoder_tokens"].shape[1]
    assert legible("".join(labels))
