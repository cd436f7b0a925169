"""The words inside figures: Chinese where a font has them, and never those of the data."""

import json
import re
import types
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from attn_jax import plot
from experiments.report import Sheet, figure_words, save_sheet, write_report
from experiments.report.bags import draw_bags
from experiments.report.detection import draw_detections, draw_looks
from experiments.report.driving import draw_accelerations, draw_scenes
from experiments.report.figure_words import figures_in, translate, viewer_label
from experiments.report.segmentation import draw_segments
from experiments.report.speech import draw_utterances
from experiments.report.stories import draw_stories
from experiments.report.summaries import draw_documents
from experiments.report.texts import Marked, draw_marked
from experiments.report.volatility import draw_ages, draw_forecasts

ROOT = Path(__file__).parents[2]
WORDS, SENTENCES, VALUES = figure_words._tables()
RNG = np.random.default_rng(0)


def some(*shape):
    return RNG.dirichlet(np.ones(shape[-1]), shape[:-1])


def alignment():
    sure, possible = np.eye(2, 3, dtype=bool), np.eye(2, 3, k=1, dtype=bool)
    tokens = {"source": ["key", "test", "loss"], "target": ["epoch", "image"]}
    return plot.alignment(some(2, 3), sure=sure, possible=possible, **tokens)


def curves():
    row = {f"{split}/{name}": 0.5 for split in ("train", "test") for name in ("loss", "accuracy")}
    rows = [{"epoch": n, "validation/aer_all_words": 0.1, **row} for n in (1, 2)]
    return plot.curves(rows, ["loss", "accuracy", "aer_all_words"])


def summary():
    lines = {name: some(2, 9) for name in ("received", "entropy", "distance", "max_logit")}
    return plot.summary(types.SimpleNamespace(pooled=some(2, 3, 3), **lines))


def image_grid():
    titles = {"labels": [0, 1], "predictions": [0, 0], "names": ["key", "test"]}
    return plot.image_grid(np.zeros((2, 4, 4)), some(2, 4), **titles)


def bags():
    made = {"label": np.array([1, 0]), "image": np.zeros((2, 3, 4, 4))}
    made |= {"present": np.ones((2, 3), bool), "instance": np.eye(2, 3, dtype=bool)}
    return draw_bags(made, np.eye(2), some(2, 3))


def detections(draw):
    batch = {"image": np.zeros((2, 8, 8)), "label": np.array([[3, -1], [2, 5]])}
    batch["box"] = np.full((2, 2, 4), [0.1, 0.1, 0.6, 0.6])
    chance = np.eye(11)[np.array([[4, 10], [10, 5]])]
    found = {"chance": chance, "weights": some(2, 2, 4), "match": np.array([[0, 0], [0, 1]])}
    detected = types.SimpleNamespace(box=batch["box"], **found)
    return draw(batch, detected, (2, 2))


def scenes():
    cars = {name: np.zeros((1, 3)) for name in ("place", "lane", "truck")}
    road = {"exists": np.ones((1, 3), bool), "reacted": np.zeros((1, 2, 3), bool)}
    truth = {"change": np.array([1]), "driven": np.array([0.5])}
    driven = {"change": np.eye(3)[[2]], "acceleration": np.array([0.4]), "weights": some(1, 2, 2)}
    return draw_scenes({**cars, **road, **truth}, types.SimpleNamespace(**driven), [0], 3)


def utterances():
    heard = {"row": 0, "seconds": 1.0, "tokens": np.array([]), "target": np.array([0, 1])}
    heard |= {"truth": np.array([0.1, 0.4, 0.9]), "times": np.array([0.2, 0.6]), "map": some(2, 10)}
    return draw_utterances([types.SimpleNamespace(**heard)], {0: some(100, 4)}, ["key", "test"])


def stories():
    facts = {"sentences": [["key", "test"], ["the", "image"]], "facts": [1]}
    story = types.SimpleNamespace(question=["where", "is", "it"], answer="kitchen", **facts)
    return draw_stories([story], ["garden"], some(2, 1, 2))


def documents():
    tokens = {"document": ["key", "test"], "summary": ["loss"], "written": ["image"]}
    maps = {"weights": some(1, 2), "truth": np.ones((1, 2), bool)}
    return draw_documents([types.SimpleNamespace(origin="flax (Apache-2.0)", **tokens, **maps)])


def forecasts(draw):
    days = np.array(["2010-01-01", "2010-01-02"], "datetime64[D]")
    made = {"date": days, "target": some(2, 2), "weights": some(2, 2, 5), "market": "NASDAQ"}
    return draw([types.SimpleNamespace(by={"har": some(2, 2), "attention": some(2, 2)}, **made)])


# Each figure, and what may stay in it: tokens, names, abbreviations.
FIGURES = {
    "alignment": (alignment, {"key", "test", "loss", "epoch", "image"}),
    "curves": (curves, {"AER"}),
    "summary": (summary, {"nat"}),
    "summaries": (
        lambda: plot.summaries(some(2, 4), entropy=[1.0, 0.5], share=[0.1, 0.2], marks=[1]),
        {"nat"},
    ),
    "film": (lambda: plot.film(some(2, 3, 3), steps=[10, 300]), set()),
    "heads": (lambda: plot.heads(some(2, 3, 4, 4)), set()),
    "image_heads": (lambda: plot.image_heads(np.zeros((2, 4, 4)), some(2, 3, 4)), set()),
    "image_grid": (image_grid, {"key", "test"}),
    "bags": (bags, set()),
    "detections": (lambda: detections(draw_detections), set()),
    "looks": (lambda: detections(draw_looks), set()),
    "scenes": (scenes, {"m/s²"}),
    "accelerations": (lambda: draw_accelerations(np.arange(9.0), np.arange(9.0)), set()),
    "segments": (
        lambda: draw_segments(
            *np.zeros((1, 2, 8, 8)), *np.ones((2, 2, 8, 8), bool), {"g": some(2, 4, 4)}
        ),
        set(),
    ),
    "utterances": (utterances, {"key", "test"}),
    "stories": (stories, {"where is it?", "kitchen", "garden", "key test", "the image"}),
    "texts": (
        lambda: draw_marked(
            [Marked("good, predicted bad", False, ["key", "test"], some(2), some(2) > 1)]
        ),
        {"good", "bad", "key", "test"},
    ),
    "documents": (documents, {"flax (Apache-2.0)", "key", "test", "loss", "image"}),
    "forecasts": (lambda: forecasts(draw_forecasts), {"HAR", "NASDAQ"}),
    "ages": (lambda: forecasts(draw_ages), {"NASDAQ"}),
}


def texts(figure):
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(Text)]


@pytest.mark.parametrize("name", FIGURES)
def test_every_word_of_a_figure_is_chinese_but_not_its_data(name):
    draw, stays = FIGURES[name]
    figure = draw()
    with figures_in("zh"):
        translate(figure)
    shown = "\n".join(texts(figure))
    assert re.search(r"[\u4e00-\u9fff]", shown)
    for each in stays:
        assert each in shown
        shown = shown.replace(each, "")
    assert re.findall(r"[A-Za-z]{2,}", shown) == []


def test_figures_stay_english_by_default_and_after_a_block():
    with figures_in("zh"):
        assert viewer_label("read as 7, is 2 ✗") == "认作 7，实为 2 ✗"
        assert viewer_label("a title of nobody") == "a title of nobody"
    assert viewer_label("read as 7, is 2 ✗") == "read as 7, is 2 ✗"
    figure = alignment()
    translate(figure)
    assert {"source", "target", "attention weight", "strongest weight"} <= set(texts(figure))


def test_without_a_font_a_line_says_so_once_and_words_stay_english(monkeypatch, capsys):
    monkeypatch.setattr(figure_words, "missing", lambda text: text)
    figure_words._has_font.cache_clear()
    figure = alignment()
    with figures_in("en"):
        assert capsys.readouterr().err == ""
    for _ in range(2):
        with figures_in("zh"):
            translate(figure)
            assert viewer_label("test") == "测试"  # a browser has its own fonts
    figure_words._has_font.cache_clear()
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'attn-jax[fonts]'" in line
    assert {"source", "target"} <= set(texts(figure))


def test_saved_figures_and_those_of_phones_follow_the_block(tmp_path):
    def titled(name):
        figure = Figure()
        figure.add_subplot().set_xlabel("epoch")
        return Sheet(name, "Learning curves", "", figure, [curves()])

    save_sheet(tmp_path, titled("plain"))
    with figures_in("zh"):
        save_sheet(tmp_path, titled("chinese"))
    for name, words in (("plain", ("epoch", "train")), ("chinese", ("轮次", "训练"))):
        files = (f"{name}.svg", f"narrow/{name}-1.svg")
        for file, word in zip(files, words, strict=True):
            assert f"<!-- {word} -->" in (tmp_path / "figures" / file).read_text("utf-8")


def test_a_report_draws_its_curves_in_its_language(tmp_path):
    (tmp_path / "command.json").write_text(json.dumps({"experiment": "mnist_dot"}))
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "epoch": 1, "train/loss": 0.5}\n')
    for language, word in (("zh", "损失"), ("en", "loss")):
        write_report(tmp_path, language=language)
        assert f"<!-- {word} -->" in (tmp_path / "figures/curves.svg").read_text("utf-8")


def test_no_word_is_unused():
    sources = [*(ROOT / "attn_jax/plot").glob("*.py"), *(ROOT / "experiments").rglob("*.py")]
    code = "\n".join(path.read_text("utf-8") for path in sources)
    metrics = {"loss", "accuracy", "train", "validation", "test", "epoch"}
    for english in (WORDS | SENTENCES | VALUES).keys() - metrics:
        parts = re.split(r"\{\d\}", english.replace("\n", "\\n"))
        assert all(part.strip(" :.,✓✗") in code for part in parts), english
