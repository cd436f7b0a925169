"""The page of an image: the patches that a model attends to, and what it predicts."""

import csv
import html
import re

import jax
import numpy as np
import pytest
from PIL import Image
from pretrained_folder import golden_arrays, golden_config, write_folder, write_golden

from attn_jax import pretrained
from experiments.__main__ import main
from experiments.look.image_sheets import Sight, draw_sheets
from experiments.look.look import Choice
from experiments.report.language import in_chinese

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A file of an image."""
    path = tmp_path_factory.mktemp("photos") / "a photo.png"
    Image.fromarray(RNG.integers(0, 255, (30, 44, 3), np.uint8)).save(path)
    return path


def look(model, photo, folder, *options):
    """Return the folder of a look at a photo."""
    arguments = ["look", str(model), "--image", str(photo), "--looks", str(folder / "looks")]
    assert main([*arguments, *options]) == 0
    (page,) = (folder / "looks").glob("*/*/report.html")
    return page.parent


def test_a_model_without_a_prediction(photo, tmp_path):
    model = write_golden("dinov2_with_registers", tmp_path)
    folder = look(model, photo, tmp_path, "--save-captured")
    page = (folder / "report.html").read_text("utf-8")
    assert "There is no report card" in page
    assert "<td>CLS, register 1, register 2, register 3</td>" in page
    assert "12 × 12 pixels" in page
    assert page.count("<iframe") == 1
    viewer = html.unescape(page)
    assert '"prefixTokens":4' in viewer
    assert '"grid":[3,3]' in viewer
    assert "the class token itself and the registers" in page
    opened = pretrained.load(model)
    with np.load(folder / "captured.npz") as captured:
        np.testing.assert_array_equal(captured["images"], opened.encode([photo])["images"])
        assert captured["layers.1.attention.weights"].shape == (1, 4, 13, 13)


def test_a_classifier_and_its_report_card(photo, tmp_path):
    # One layer is enough, and compiles faster.
    config = golden_config("vit") | {"num_hidden_layers": 1}
    tensors = {k: x for k, x in golden_arrays("vit", "tensor").items() if ".layer.1." not in k}
    model = write_folder(tmp_path / "vit", config, tensors)
    folder = look(model, photo, tmp_path, "--layer", "0", "--head", "2")
    opened = pretrained.load(model)
    logits = opened(opened.encode([photo]))[0]
    with (folder / "figures/classes.csv").open() as file:
        header, *rows = csv.reader(file)
    assert header == ["class", "probability"]
    probabilities = np.asarray(jax.nn.softmax(logits))
    names = config["id2label"]
    order = np.argsort(-probabilities)
    assert rows == [[names[str(i)], f"{probabilities[i]:.1%}"] for i in order]
    page = (folder / "report.html").read_text("utf-8")
    assert "The card edits the chosen layer" in page
    assert "Effect lost by exchanged mass" in html.unescape(page)
    assert "Layer 0: what the class token looks at" in page
    assert re.search(r"head 2: \d+%", (folder / "figures/class-token.svg").read_text())


def test_the_images_of_a_model_that_reads_texts_too(photo, tmp_path):
    folder = look(write_golden("clip", tmp_path), photo, tmp_path)
    page = (folder / "report.html").read_text("utf-8")
    assert "Layer 0: what the class token looks at" in page
    assert "There is no report card" in page


def test_the_figures_show_what_the_class_token_attends_to():
    weights = golden_arrays("deit", "expected")["layers.1.attention.weights"][0]
    image = RNG.integers(0, 255, (16, 8, 3), np.uint8)
    sight = Sight(image, (4, 2), ["CLS", "distillation"], {"layer 0": weights, "layer 1": weights})
    sheets = {sheet.name: sheet for sheet in draw_sheets(sight, Choice(1), [])}
    assert list(sheets) == ["class-token", "viewer", "heads"]
    first, *overlays = sheets["class-token"].figure.axes
    np.testing.assert_array_equal(first.images[0].get_array(), image)
    for head, ax in enumerate(overlays[:4]):
        given = weights[head, 0, 2:].reshape(4, 2)
        np.testing.assert_allclose(ax.images[-1].get_array(), given, rtol=1e-6)
        assert ax.get_title(loc="left") == f"head {head}: {given.sum():.0%}"
    assert "the class token itself and the distillation token" in sheets["class-token"].caption
    texts = [text for sheet in sheets.values() for text in (sheet.title, sheet.caption)]
    assert [text for text in texts if in_chinese(text) is None] == []
    maps = [ax.images[0].get_array() for ax in sheets["heads"].figure.axes[:8]]
    np.testing.assert_allclose(maps, np.tile(weights[:, 0, 2:].reshape(4, 4, 2), (2, 1, 1)))
    assert sight.tokens[:4] == ["CLS", "distillation", "row 0, column 0", "row 0, column 1"]


def test_a_file_that_is_no_image_leaves_nothing(tmp_path, capsys):
    path = tmp_path / "notes.jpg"
    path.write_text("not an image")
    model = write_golden("dinov2", tmp_path)
    looks = tmp_path / "looks"
    assert main(["look", str(model), "--image", str(path), "--looks", str(looks)]) == 2
    error = capsys.readouterr().err.strip()
    assert re.fullmatch(r"PretrainedError: image 0, .*notes.jpg, cannot be read: .*", error)
    assert not looks.exists()
